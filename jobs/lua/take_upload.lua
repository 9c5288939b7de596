-- Takes an upload for a request with the idempotency key `by`, or '', for `hold_ms` at most. Only one request
-- has it at a time, and once it was used only a repetition by the same key. KEYS: the upload. Answers its bytes,
-- 'used', or 'unknown' for one that has expired or is another owner's.
local upload = KEYS[1]
local owner, by, hold_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', upload, 'owner', 'bytes', 'used', 'held_ms', 'by')
if not found[1] or found[1] ~= owner then return 'unknown' end
local held = found[3] or tonumber(found[4] or '0') > now
if held and (by == '' or found[5] ~= by) then return 'used' end
redis.call('HSET', upload, 'held_ms', now + hold_ms, 'by', by)
return found[2]
