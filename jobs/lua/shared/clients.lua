-- Put after common.lua: what a client has used. Its counters are a hash: `tokens` in its bucket at the
-- moment `at` (ms), and the output `pixels` accepted on `day` (of UTC, since 1970). Its jobs are a set
-- of those that were accepted; ended ones are removed where the limit is reached.
local DAY_MS = 86400000
local CLIENT_TTL_S = 172800 -- both keys outlive the day that they count

local function left_of_day(now)
  return DAY_MS - now % DAY_MS
end

local function pixels_used(counters, now)
  local day = number(redis.call('HGET', counters, 'day'), -1)
  if day ~= math.floor(now / DAY_MS) then return 0 end
  return number(redis.call('HGET', counters, 'pixels'), 0)
end

-- How many of a client's jobs wait, or fewer than `limit` if it is below that.
local function jobs_waiting(jobs, limit)
  local accepted = redis.call('SCARD', jobs)
  if accepted < limit then return accepted end
  local waiting = 0
  for _, id in ipairs(redis.call('SMEMBERS', jobs)) do
    if redis.call('ZSCORE', pending, id) then
      waiting = waiting + 1
    elseif not redis.call('ZSCORE', leases, id) then -- a running one may have to wait again
      redis.call('SREM', jobs, id)
    end
  end
  return waiting
end

-- Why a client may submit no job of so many output pixels now, or nil. A nil limit is none.
local function over_limit(counters, jobs, now, pixels, pixels_per_day, most_jobs)
  if pixels_per_day and pixels_used(counters, now) + pixels > pixels_per_day then return 'pixels' end
  if most_jobs and jobs_waiting(jobs, most_jobs) >= most_jobs then return 'jobs' end
  return nil
end

-- Counts an accepted job for its client.
local function charge(counters, jobs, now, id, pixels, pixels_per_day, most_jobs)
  if pixels_per_day then
    local used = pixels_used(counters, now) + pixels
    redis.call('HSET', counters, 'day', math.floor(now / DAY_MS), 'pixels',
      string.format('%.0f', used))
    redis.call('EXPIRE', counters, CLIENT_TTL_S)
  end
  if most_jobs then
    redis.call('SADD', jobs, id)
    redis.call('EXPIRE', jobs, CLIENT_TTL_S)
  end
end
