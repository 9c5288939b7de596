-- Records a job whose picture was made before, as one that has ended: its result is stored already, under
-- token 0, for no worker has claimed it. Answers as submit.lua: 'accepted' with the moment and the deadline,
-- 'known' for the same call again, or as `repeated` in shared/repeats.lua.
-- Computed keys: record, wake (the job of a known idempotency key).
local id, job, remaining, on_miss, requirement = ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9], ARGV[10]
local facts, key, fingerprint = ARGV[11], ARGV[12], ARGV[13]

if redis.call('EXISTS', records .. id) == 1 then return { 'known' } end
local earlier = repeated(key, fingerprint)
if earlier then return earlier end

local now = now_ms()
local deadline = now + remaining
redis.call('HSET', records .. id, 'job', job, 'submitted_ms', text(now), 'deadline_ms', text(deadline),
  'on_miss', on_miss, 'requirement', requirement, 'attempt', '0', 'token', '0', 'progress', '1')
remember(key, fingerprint, id)
agree_deliveries(id, unpack(ARGV, 14, 19))
finish(id, now, 'succeeded', 'facts', facts)
return { 'accepted', text(now), text(deadline) }
