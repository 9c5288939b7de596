-- Takes a token from a client's bucket, and compares what it has used with its limits. `submits`: the
-- request is to submit a job, of at least one pixel. Answers why it is refused ('rate', 'pixels', 'jobs'
-- or ''), the ms after which a refused one has its token, the tokens left, the ms until the bucket is
-- full, the pixels used and the ms left of this day.
local counters, jobs = KEYS[OWN + 1], KEYS[OWN + 2]
local rate, burst, pixels_per_day, most_jobs, submits =
  tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] ~= ''
local now = now_ms()
local why, retry, tokens = '', 0, burst

if rate then
  local kept = redis.call('HMGET', counters, 'tokens', 'at')
  local at = math.min(number(kept[2], now), now) -- the clock may have been set back
  tokens = math.min(burst, number(kept[1], burst) + (now - at) / 1000 * rate)
  if tokens < 1 then
    why, retry = 'rate', (1 - tokens) / rate * 1000
  else
    tokens = tokens - 1
    redis.call('HSET', counters, 'tokens', string.format('%.9f', tokens), 'at', text(now))
    redis.call('EXPIRE', counters, CLIENT_TTL_S)
  end
end

if why == '' and submits then
  why = over_limit(counters, jobs, now, 1, pixels_per_day, most_jobs) or ''
end
local until_full = rate and (burst - tokens) / rate * 1000 or 0
local used = pixels_per_day and pixels_used(counters, now) or 0

return { why, text(retry), math.floor(tokens), text(until_full), text(used), text(left_of_day(now)) }
