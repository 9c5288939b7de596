-- Put after common.lua: who waits and who runs, and the sums of it that every claim is told.
-- A slot is named by its beginning: wide enough for 128 of them to look 6.4 s ahead or further,
-- narrow enough that the jobs in it lose at most 50 ms of their slack to being told as one group.
local SLOT_MS, SLOTS_TOLD = 50, 128

-- Costs are summed up in whole microseconds, which cannot drift. Nothing counts for more than 11
-- days, so that no sum leaves the integers.
local function micros(ms)
  return string.format('%.0f', math.min(math.max(0, ms * 1000), 1e12))
end

local function sum(slot, jobs, cost)
  redis.call('HINCRBY', sums, 'cost', cost)
  redis.call('HINCRBY', sums, 'cost:' .. slot, cost)
  return redis.call('HINCRBY', sums, 'jobs:' .. slot, jobs)
end

-- Takes a job out of those that wait, if it is there, and answers its cost. What to subtract is
-- read from where it was noted on arrival: the record may be damaged by now.
local function leave(id)
  local slot, cost = string.match(redis.call('HGET', entries, id) or '', '^(.+):(%d+)$')
  redis.call('ZREM', pending, id)
  redis.call('ZREM', ages, id)
  redis.call('HDEL', entries, id)
  if redis.call('ZCARD', pending) == 0 then
    redis.call('DEL', ages, entries, slots, sums)
  elseif slot and sum(slot, -1, 0 - cost) <= 0 then
    redis.call('ZREM', slots, slot)
    redis.call('HDEL', sums, 'cost:' .. slot, 'jobs:' .. slot)
  end
  return cost or '0'
end

local function wait(id, start, submitted, cost)
  leave(id) -- a job whose record was lost may be submitted again
  local slot = string.format('%.0f', math.floor(start / SLOT_MS) * SLOT_MS)
  redis.call('ZADD', pending, text(start), id)
  redis.call('ZADD', ages, text(submitted), id)
  redis.call('HSET', entries, id, slot .. ':' .. cost)
  redis.call('ZADD', slots, slot, slot)
  sum(slot, 1, cost)
end

-- A run's end is said later; until then minus its cost stands for "from now on".
local function lease(id, till, cost)
  redis.call('ZADD', leases, text(till), id)
  redis.call('ZADD', ends, text(0 - cost / 1000), id)
end

local function unlease(id)
  redis.call('ZREM', leases, id)
  redis.call('ZREM', ends, id)
  if redis.call('ZCARD', leases) == 0 then redis.call('DEL', ends) end
end

-- Answers { now, cost of all that waits, slots, their costs, ends of what runs }; times in ms,
-- costs in microseconds, lists as words, which are read faster than many answers. The last slot
-- stands for all that come after the first SLOTS_TOLD.
local function backlog(now)
  local told, fields, running = redis.call('ZRANGE', slots, 0, SLOTS_TOLD), { 'cost' }, {}
  for i, slot in ipairs(told) do fields[i + 1] = 'cost:' .. slot end
  local costs = redis.call('HMGET', sums, unpack(fields))
  local total = table.remove(costs, 1) or '0'
  local rest = total
  for i = 1, #told do
    costs[i] = i > SLOTS_TOLD and string.format('%.0f', rest) or costs[i] or '0'
    rest = rest - costs[i]
  end
  local said = redis.call('ZRANGE', ends, 0, -1, 'WITHSCORES')
  for i = 2, #said, 2 do
    local at = tonumber(said[i])
    running[#running + 1] = text(at > 0 and at or now - at)
  end
  local function words(list) return table.concat(list, ' ') end
  return { text(now), total, words(told), words(costs), words(running) }
end
