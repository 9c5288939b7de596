-- Answers queued, running, age of the oldest that waits and how long ago the most urgent had to
-- start at the latest (both ms, 0 when there is none), and the backlog.
local now = now_ms()
local oldest = tonumber(redis.call('ZRANGE', ages, 0, 0, 'WITHSCORES')[2]) or now
local latest = tonumber(redis.call('ZRANGE', pending, 0, 0, 'WITHSCORES')[2]) or now
local queued, running = redis.call('ZCARD', pending), redis.call('ZCARD', leases)

return { queued, running, text(now - oldest), text(math.max(0, now - latest)), backlog(now) }
