-- Gives an upload back that a request by this key has taken, or marks it as used. KEYS: the upload.
-- Computed keys: uploads (the upload names the set of its client).
local upload = KEYS[1]
local id, by, used = ARGV[1], ARGV[2], ARGV[3] ~= ''

local found = redis.call('HMGET', upload, 'by', 'open')
if found[1] ~= by then return end
redis.call('HDEL', upload, 'held_ms')
if used then
  redis.call('HSET', upload, 'used', '1')
  redis.call('ZREM', found[2], id)
end
