-- Keeps an upload, unless its client has `most` that no job has taken. KEYS: the upload, and the client's open
-- ones by expiry. Answers whether it is kept.
local upload, open = KEYS[1], KEYS[2]
local id, owner, bytes, ttl_s, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', open, '-inf', now)
if redis.call('ZCARD', open) >= most then return 0 end
redis.call('HSET', upload, 'owner', owner, 'bytes', bytes, 'open', open)
redis.call('EXPIRE', upload, ttl_s)
redis.call('ZADD', open, now + ttl_s * 1000, id)
redis.call('EXPIRE', open, ttl_s)
return 1
