-- Notes an object of the bucket before it is written, so that none is ever there unknown: its bytes, and that
-- it is deleted after `ttl_ms`. KEYS: the objects by expiry, and their sizes. Answers 0, and notes nothing,
-- where all would then take more than `limit` bytes.
local expiring, sizes = KEYS[1], KEYS[2]
local name, bytes, ttl_ms, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local before = tonumber(redis.call('HGET', sizes, name) or '0')
local total = tonumber(redis.call('HGET', sizes, 'total') or '0')
if bytes > before and total - before + bytes > limit then return 0 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', expiring, now + ttl_ms, name)
redis.call('HSET', sizes, name, bytes)
redis.call('HINCRBY', sizes, 'total', bytes - before)
return 1
