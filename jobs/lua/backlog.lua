-- Put after common.lua: who waits and who runs, and the sums of it that every claim is told.
-- A slot is named by its beginning: wide enough for 128 of them to look 6.4 s ahead or further,
-- narrow enough that the jobs in it lose at most 50 ms of their slack to being told as one group.
local SLOT_MS, SLOTS_TOLD = 50, 128

-- The work that keeps coming, as scheduling.backlog.Demand counts it: by what comes while others
-- wait. Over how long it is averaged, and how long others must have waited for it to say much.
local DEMAND_MS, PRIOR_MS = 10000, 500

-- Costs are summed up in whole microseconds, which cannot drift. Nothing counts for more than 11
-- days, so that no sum leaves the integers.
local function micros(ms)
  return string.format('%.0f', math.min(math.max(0, ms * 1000), 1e12))
end

-- The work, the work over the time that it can wait, and for how long others waited; as of now.
local function demand_at(now)
  local known = redis.call('HMGET', inflow, 'work', 'urgency', 'time', 'at')
  local fade = math.exp((number(known[4], now) - now) / DEMAND_MS)
  local time = number(known[3], 0) * fade
  if redis.call('ZCARD', pending) > 0 then time = time + DEMAND_MS * (1 - fade) end
  return number(known[1], 0) * fade, number(known[2], 0) * fade, time
end

-- Notes it, with some work more or less. To be called before what waits changes.
local function flow(now, work_ms, urgency)
  local work, urgent, time = demand_at(now)
  redis.call('HSET', inflow, 'work', string.format('%.9g', math.max(0, work + work_ms)),
    'urgency', string.format('%.9g', math.max(0, urgent + urgency)),
    'time', string.format('%.9g', time), 'at', text(now))
  redis.call('PEXPIRE', inflow, 20 * DEMAND_MS)
end

local function sum(slot, jobs, cost, network)
  redis.call('HINCRBY', sums, 'cost', cost)
  redis.call('HINCRBY', sums, 'cost:' .. slot, cost)
  redis.call('HINCRBY', sums, 'network', network)
  redis.call('HINCRBY', sums, 'network:' .. slot, network)
  return redis.call('HINCRBY', sums, 'jobs:' .. slot, jobs)
end

-- The cheapest cost of a job that waits, in microseconds; of one that does not, 0.
local function cost_of(id)
  return tonumber(string.match(redis.call('HGET', entries, id) or '', '^.+:(%d+):%d+$') or '0')
end

-- Takes a job out of those that wait, if it is there, and answers its cost. What to subtract is
-- read from where it was noted on arrival: the record may be damaged by now.
local function leave(id)
  flow(now_ms(), 0, 0)
  local entry = redis.call('HGET', entries, id) or ''
  local slot, cost, network = string.match(entry, '^(.+):(%d+):(%d+)$')
  redis.call('ZREM', pending, id)
  redis.call('ZREM', ages, id)
  redis.call('HDEL', entries, id)
  if redis.call('ZCARD', pending) == 0 then
    redis.call('DEL', ages, entries, slots, sums)
  elseif slot and sum(slot, -1, 0 - cost, 0 - network) <= 0 then
    redis.call('ZREM', slots, slot)
    redis.call('HDEL', sums, 'cost:' .. slot, 'network:' .. slot, 'jobs:' .. slot)
  end
  return cost or '0'
end

local function wait(id, start, submitted, cost, network)
  leave(id) -- a job whose record was lost may be submitted again; this also lets the time pass
  local slot = string.format('%.0f', math.floor(start / SLOT_MS) * SLOT_MS)
  redis.call('ZADD', pending, text(start), id)
  redis.call('ZADD', ages, text(submitted), id)
  redis.call('HSET', entries, id, slot .. ':' .. cost .. ':' .. network)
  redis.call('ZADD', slots, slot, slot)
  sum(slot, 1, cost, network)
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

-- The sums of one kind: of all that waits, and of each slot told. The last slot stands for all that
-- come after the first SLOTS_TOLD.
local function sums_of(kind, told)
  local fields = { kind }
  for i, slot in ipairs(told) do fields[i + 1] = kind .. ':' .. slot end
  local costs = redis.call('HMGET', sums, unpack(fields))
  local total = table.remove(costs, 1) or '0'
  local rest = total
  for i = 1, #told do
    costs[i] = i > SLOTS_TOLD and string.format('%.0f', rest) or costs[i] or '0'
    rest = rest - costs[i]
  end
  return total, costs
end

-- Answers { now, cost of all that waits, slots, their costs and network costs, ends of what runs,
-- inflow, how long that can wait }; times in ms, costs in microseconds, lists as words, which are read faster than many
-- answers.
local function backlog(now)
  local told, running = redis.call('ZRANGE', slots, 0, SLOTS_TOLD), {}
  local total, costs = sums_of('cost', told)
  local _, networks = sums_of('network', told)
  local said = redis.call('ZRANGE', ends, 0, -1, 'WITHSCORES')
  for i = 2, #said, 2 do
    local at = tonumber(said[i])
    running[#running + 1] = text(at > 0 and at or now - at)
  end
  local work, urgency, time = demand_at(now)
  local function words(list) return table.concat(list, ' ') end
  return { text(now), total, words(told), words(costs), words(networks), words(running),
    string.format('%.9g', work / (time + PRIOR_MS)),
    urgency > 0 and string.format('%.9g', work / urgency) or 'inf' }
end
