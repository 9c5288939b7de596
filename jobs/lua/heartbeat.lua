-- Stores a worker's heartbeat and capabilities until their time to live is over. Answers how many
-- workers live.
local heartbeat, workers, capabilities = KEYS[1], KEYS[2], KEYS[3]
local id, data, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
-- First, because it takes no memory: a full Redis lets a script go on that has written already, and
-- live workers must not seem dead then.
redis.call('ZREMRANGEBYSCORE', capabilities, '-inf', string.format('%.3f', now))
redis.call('SET', heartbeat, data, 'PX', ttl)
redis.call('SADD', workers, id)
for i = 4, #ARGV do
  redis.call('ZADD', capabilities, string.format('%.3f', now + ttl), ARGV[i])
end
return redis.call('SCARD', workers)
