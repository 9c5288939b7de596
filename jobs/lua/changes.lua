-- Put after backlog.lua: the two ways in which a job's status and its place change together.

-- Lets a job wait, as its record says: what cannot be read of it counts as now, or as free.
local function enqueue(id, now, ...)
  redis.call('HSET', records .. id, 'status', 'queued', 'progress', '0', ...)
  local record = read(id, 'start_ms', 'submitted_ms', 'floor_ms', 'network_ms')
  wait(id, number(record[1], now), number(record[2], now), micros(number(record[3], 0)),
    micros(number(record[4], 0)))
  tell(id, 'queued')
end

local function finish(id, now, status, ...)
  redis.call('HSET', records .. id, 'status', status, 'finished_ms', text(now), ...)
  redis.call('EXPIRE', records .. id, job_ttl)
  leave(id)
  unlease(id)
  tell(id, status)
end
