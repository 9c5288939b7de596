-- Answers queued, running, age of the oldest that waits (ms), and the backlog.
local now = now_ms()
local oldest = tonumber(redis.call('ZRANGE', ages, 0, 0, 'WITHSCORES')[2]) or now
local queued, running = redis.call('ZCARD', pending), redis.call('ZCARD', leases)

return { queued, running, text(now - oldest), backlog(now) }
