-- Answers queued, running, age of the oldest that waits (ms), sum of the cheapest costs (ms).
local now = now_ms()
local ids = redis.call('ZRANGE', pending, 0, -1)
local oldest, backlog = now, 0

for _, id in ipairs(ids) do
  local record = read(id, 'submitted_ms', 'floor_ms')
  oldest = math.min(oldest, tonumber(record[1]) or now)
  backlog = backlog + (tonumber(record[2]) or 0)
end

return { #ids, redis.call('ZCARD', leases), text(now - oldest), text(backlog) }
