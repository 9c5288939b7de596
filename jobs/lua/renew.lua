-- Prolongs a lease and stores the progress. Answers the state of the lease.
local id, token, progress, lease_ms = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])

if held(id, token) then
  local before = read(id, 'progress')[1]
  redis.call('ZADD', leases, text(now_ms() + lease_ms), id)
  if before ~= progress then
    redis.call('HSET', records .. id, 'progress', progress)
    publish_change(id, 'running')
  end
  return 'held'
end

local record = read(id, 'status', 'token')
if record[1] == 'cancelled' and record[2] == token then return 'cancelled' end
return 'lost'
