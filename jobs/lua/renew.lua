-- Prolongs a lease and stores the progress. It is a sign of life, so the attempt counts (claim.lua). Answers the state of the lease. Where it is not held, but the
-- run still goes on, the stopping run is prolonged: its worker is not free before report_stopped.lua.
local id, token, progress, lease_ms = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
local till = now_ms() + lease_ms

if held(id, token) then
  local before = read(id, 'progress', 'handed')
  if before[2] == '1' then redis.call('HSET', records .. id, 'handed', '') end
  redis.call('ZADD', leases, text(till), id)
  if before[1] ~= progress then
    redis.call('HSET', records .. id, 'progress', progress)
    publish_change(id, 'running')
  end
  return 'held'
end

local record = read(id, 'status', 'token', 'finished_by')
if record[3] ~= token then keep_stopping_run(stopping_run(id, token), till, till) end
if record[1] == 'cancelled' and record[2] == token then return 'cancelled' end
return 'lost'
