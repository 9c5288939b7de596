-- Answers queued, running, the age of the oldest waiting job and the time since the latest start of the
-- most urgent one (both in ms, 0 when there is none), the backlog with its runs as the job of a client (or of
-- a caller without a key: '') of this weight would meet it.
local now = now_ms()
local client, weight = ARGV[6] ~= '' and ARGV[6] or client_without_key(now), tonumber(ARGV[7])
local oldest = tonumber(redis.call('ZRANGE', ages, 0, 0, 'WITHSCORES')[2]) or now
local latest = tonumber(redis.call('ZRANGE', pending, 0, 0, 'WITHSCORES')[2]) or now
local queued, running = redis.call('ZCARD', pending), redis.call('ZCARD', leases)

return { queued, running, text(now - oldest), text(math.max(0, now - latest)),
  backlog_for(client, now, true, weight) }
