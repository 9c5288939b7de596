-- Writes a worker's pulse, and what it offers for as long. Answers how many workers live.
local pulse, workers, offers = KEYS[1], KEYS[2], KEYS[3]
local id, data, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
-- First, for it takes no room: a Redis that is full lets a script go on that has written already,
-- and living workers must not seem dead then.
redis.call('ZREMRANGEBYSCORE', offers, '-inf', string.format('%.3f', now))
redis.call('SET', pulse, data, 'PX', ttl)
redis.call('SADD', workers, id)
for i = 4, #ARGV do
  redis.call('ZADD', offers, string.format('%.3f', now + ttl), ARGV[i])
end
return redis.call('SCARD', workers)
