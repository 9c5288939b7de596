-- Accepts a job, unless the queue is full, or the job would be late, or make another late
-- (shared/lateness.lua): the caller then gets `overloaded`. A repeated submit (after a lost answer)
-- changes nothing, and neither does one whose idempotency key (its name in Redis, or '') another job has
-- (shared/repeats.lua). Without `stored` its picture was not sent yet: the answer 'free' then means that
-- the job would be accepted now. `remaining` is what is left of its budget; times in ms. `gateway` is the
-- channel of the gateway that submits it (publish_end). With the keys of a client, 'over' is the answer
-- where its limits allow no such job: then the reason, the pixels that it has used, and the ms left of
-- this day. What follows the job's end is in shared/deliveries.lua: `place` is where its picture goes, and
-- `put_url` a URL that lets its owner write there, kept for `put_ttl` seconds.
-- A client has a `weight` against others (shared/shares.lua), as have all callers without a key together:
-- 'share' is the answer where its own jobs leave no time for this one on its part of the workers.
-- Computed keys: pending@client, record, wake (the job of a known key; the clients of what waits).
local id, job, remaining, cheapest, on_miss, limit, narrowest, requirement, overhead =
  ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], tonumber(ARGV[11]),
  tonumber(ARGV[12]), ARGV[13], tonumber(ARGV[14])
local workers, payload_ttl, small = tonumber(ARGV[15]), ARGV[16], ARGV[17]
local gateway = ARGV[18]
local counters, jobs = KEYS[OWN + 1], KEYS[OWN + 2]
local pixels, pixels_per_day, most_jobs = tonumber(ARGV[19]), tonumber(ARGV[20]), tonumber(ARGV[21])
local stored = ARGV[22] ~= ''
local key, fingerprint, webhook_url, webhook_host = ARGV[23], ARGV[24], ARGV[25], ARGV[26]
local place, place_host, put_url, put_ttl = ARGV[27], ARGV[28], ARGV[29], ARGV[30]

local now = now_ms()
local client, weight = ARGV[31] ~= '' and ARGV[31] or client_without_key(now), ARGV[32]
local deadline = now + remaining
local start = now + start_slack_ms(remaining, cheapest, overhead)

-- With 'full', the cheapest cost of all that waits in microseconds: a refusal must not cost another call.
local function full()
  return 'full', redis.call('HGET', sums, 'cheapest') or '0'
end

local function refused(...)
  if stored then drop_payload(id) end
  return { ... }
end

if redis.call('EXISTS', records .. id) == 1 then return { 'known' } end
local earlier = repeated(key, fingerprint)
if earlier then return refused(unpack(earlier)) end
local limited = pixels_per_day or most_jobs -- else there may be no keys of a client
local over = limited and over_limit(counters, jobs, now, pixels, pixels_per_day, most_jobs)
if over then
  return refused('over', over, text(pixels_used(counters, now)), text(left_of_day(now)))
end
if client then
  sends(client, weight, now)
  local beyond = workers > 0 and over_share_ms(client, now, start, cheapest, workers) or 0
  if beyond <= 0 and has_part_of(limit, client, now) then beyond = FULL_RETRY_MS end
  if beyond > 0 then return refused('share', text(beyond), backlog_for(client, now, true)) end
end
if redis.call('ZCARD', pending) >= limit then return refused(full()) end
local late = workers > 0 and late_ms(now, start, cheapest, workers, small ~= '') or 0
if late > 0 then return refused('late', text(late), backlog_for(client, now, true)) end
if not stored then return { 'free' } end
-- The picture was sent along with this call, but the server may have had no memory for it.
if payloads ~= '' and redis.call('EXPIRE', payloads .. id, payload_ttl) == 0 then
  return refused(full())
end

-- The slack is stored with the job, so that its demand can be withdrawn if it is not run.
local slack = math.max(1, start_slack_ms(remaining, narrowest, overhead))
local demand_slack = redis.call('ZCARD', pending) > 0 and text(slack) or ''
if demand_slack ~= '' then
  flow(now, narrowest, narrowest / slack)
  count_for(client, now, narrowest, 0)
end
if client then redis.call('HSET', records .. id, 'client', client) end
enqueue(id, now, 'job', job, 'submitted_ms', text(now), 'deadline_ms', text(deadline),
  'start_ms', text(start), 'cheapest_ms', text(cheapest), 'narrowest_ms', text(narrowest),
  'on_miss', on_miss, 'requirement', requirement, 'attempt', '0', 'demand_slack_ms', demand_slack,
  'small', small, 'gateway', gateway)
if limited then charge(counters, jobs, now, id, pixels, pixels_per_day, most_jobs) end
remember(key, fingerprint, id)
agree_deliveries(id, webhook_url, webhook_host, place, place_host, put_url, put_ttl)
return { 'accepted', text(now), text(deadline) }
