-- Counts a job of `pixels` for its client before a shard is asked to accept it; the keys of the client follow
-- those of every step. `waiting` is how many of its jobs wait in all shards, which only the caller can count.
-- A repeated call (after a lost answer) changes nothing. Answers as submit.lua where the limits allow no such job:
-- 'over', the reason, the pixels used and the ms left of this day; else 'charged'.
local id, pixels, pixels_per_day, most_jobs, waiting, note_s =
  ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]
local counters, jobs, note = KEYS[OWN + 1], KEYS[OWN + 2], KEYS[OWN + 3]
local now = now_ms()
if redis.call('EXISTS', note) == 1 then return { 'charged' } end
local over = over_limit(counters, jobs, now, pixels, pixels_per_day, nil)
  or most_jobs and waiting >= most_jobs and 'jobs'
if over then return { 'over', over, text(pixels_used(counters, now)), text(left_of_day(now)) } end
charge(counters, jobs, now, id, pixels, pixels_per_day, most_jobs)
redis.call('SET', note, math.floor(now / DAY_MS), 'EX', note_s)
return { 'charged' }
