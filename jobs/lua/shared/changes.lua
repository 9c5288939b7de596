-- Put after deliveries.lua: the changes of a job's status together with those of the queue.

-- Lets a job wait as its record says. A moment that cannot be read counts as now, a cost as 0.
local function enqueue(id, now, ...)
  redis.call('HSET', records .. id, 'status', 'queued', 'progress', '0', ...)
  local record = read(id, 'start_ms', 'submitted_ms', 'cheapest_ms', 'narrowest_ms', 'client',
    'requirement')
  wait(id, number(record[1], now), number(record[2], now), micros(number(record[3], 0)),
    micros(number(record[4], 0)), record[5], record[6] or '')
  publish_change(id, 'queued')
end

-- Removes a job that will not be run from the demand that it was counted in on arrival.
local function withdraw(id, now)
  local record = read(id, 'demand_slack_ms', 'narrowest_ms', 'submitted_ms', 'client')
  local slack, narrowest = number(record[1], 0), number(record[2], 0)
  if slack <= 0 then return end
  local left = narrowest * math.exp((number(record[3], now) - now) / DEMAND_MS)
  flow(now, 0 - left, 0 - left / slack)
  count_for(record[4], now, 0 - left, 0)
end

-- Counts the time of a run that ends for its client.
local function count_run(id, now)
  local record = read(id, 'client', 'claimed_ms', 'status')
  if record[1] and record[3] == 'running' then
    count_for(record[1], now, 0, math.max(0, now - number(record[2], now)))
  end
end

-- The name among the runs of a stopping run: one that was withdrawn or lost, and that its worker has not
-- stopped yet. It is not the job's id, because the job may be another worker's by then.
local function stopping_run(id, token)
  return id .. ':' .. token
end

-- Counts a stopping run until `till` at the latest; its worker should be free at `free_at`.
local function keep_stopping_run(run, till, free_at)
  redis.call('ZADD', leases, text(till), run)
  redis.call('ZADD', ends, text(free_at), run)
end

-- Ends a job, and answers nothing; who waits for it is not notified yet.
local function record_end(id, now, status, ...)
  if status ~= 'succeeded' then withdraw(id, now) end
  count_run(id, now)
  redis.call('HSET', records .. id, 'status', status, 'finished_ms', text(now), ...)
  if not announce(id, now, status) then expire_record(id) end
  leave(id)
  unlease(id)
  drop_payload(id)
end

local function finish(id, now, status, ...)
  record_end(id, now, status, ...)
  publish_end(id, status, '')
end
