-- Puts a job back as if it had not been claimed.
local id, token = ARGV[4], ARGV[5]

if held(id, token) then
  local record = read(id, 'attempt', 'start_ms')
  redis.call('ZREM', leases, id)
  enqueue(id, tonumber(record[2]) and record[2] or text(now_ms()),
    'attempt', tostring((tonumber(record[1]) or 1) - 1))
  wake_one()
end
