-- Put after backlog.lua: the two ways in which a job's status and its place change together.

-- Lets a job wait, as its record says: what cannot be read of it counts as now, or as free.
local function enqueue(id, now, ...)
  redis.call('HSET', records .. id, 'status', 'queued', 'progress', '0', ...)
  local record = read(id, 'start_ms', 'submitted_ms', 'cheapest_ms', 'narrowest_ms')
  wait(id, number(record[1], now), number(record[2], now), micros(number(record[3], 0)),
    micros(number(record[4], 0)))
  tell(id, 'queued')
end

-- Lets what is not to be done leave the demand that it was counted in when it came.
local function withdraw(id, now)
  local record = read(id, 'inflow_slack_ms', 'narrowest_ms', 'submitted_ms')
  local slack, network = number(record[1], 0), number(record[2], 0)
  if slack <= 0 then return end
  local left = network * math.exp((number(record[3], now) - now) / DEMAND_MS)
  flow(now, 0 - left, 0 - left / slack)
end

local function finish(id, now, status, ...)
  if status ~= 'succeeded' then withdraw(id, now) end
  redis.call('HSET', records .. id, 'status', status, 'finished_ms', text(now), ...)
  redis.call('EXPIRE', records .. id, job_ttl)
  leave(id)
  unlease(id)
  drop_payload(id)
  tell_end(id, status, read(id, 'token')[1] or '')
end
