-- Put after budget.lua: which jobs wait and run, and the sums over them that each claim returns.
-- A slot is named by its beginning. 128 slots look at least 6.4 s ahead, and a job loses at most 50 ms
-- of its slack by being summed up with the others of its slot.
local SLOT_MS, SLOTS_LISTED = 50, 128

-- The work that keeps coming, counted as by scheduling.load.Demand: arrivals while others wait,
-- averaged over DEMAND_MS. A wait much shorter than PRIOR_MS says little.
local DEMAND_MS, PRIOR_MS = 10000, 500

-- Costs are summed up in whole microseconds, which cannot drift. None counts for more than 11 days, so
-- that no sum leaves the integers.
local function micros(ms)
  return string.format('%.0f', math.min(math.max(0, ms * 1000), 1e12))
end

-- Answers the work, the work over its slack, and the time for which others waited, all as of now.
local function demand_at(now)
  local known = redis.call('HMGET', demand, 'work', 'urgency', 'time', 'at')
  local fade = math.exp((number(known[4], now) - now) / DEMAND_MS)
  local time = number(known[3], 0) * fade
  if redis.call('ZCARD', pending) > 0 then time = time + DEMAND_MS * (1 - fade) end
  return number(known[1], 0) * fade, number(known[2], 0) * fade, time
end

-- Stores the demand, with some work more or less. Call it before the waiting jobs change.
local function flow(now, work_ms, urgency)
  local work, urgent, time = demand_at(now)
  redis.call('HSET', demand, 'work', string.format('%.9g', math.max(0, work + work_ms)),
    'urgency', string.format('%.9g', math.max(0, urgent + urgency)),
    'time', string.format('%.9g', time), 'at', text(now))
  redis.call('PEXPIRE', demand, 20 * DEMAND_MS)
end

-- Adds to the sums, all or those of a client (`of`: '' or '@client'), and answers how many jobs the slot
-- has in them then.
local function sum(of, slot, jobs, cheapest, narrowest)
  redis.call('HINCRBY', sums, 'cheapest' .. of, cheapest)
  redis.call('HINCRBY', sums, 'cheapest' .. of .. ':' .. slot, cheapest)
  redis.call('HINCRBY', sums, 'narrowest' .. of, narrowest)
  redis.call('HINCRBY', sums, 'narrowest' .. of .. ':' .. slot, narrowest)
  if of ~= '' then redis.call('HINCRBY', sums, 'jobs' .. of, jobs) end
  return redis.call('HINCRBY', sums, 'jobs' .. of .. ':' .. slot, jobs)
end

-- Takes a job out of the sums, and answers whether it was the last one of its slot in them.
local function unsum(of, slot, cheapest, narrowest)
  if sum(of, slot, -1, 0 - cheapest, 0 - narrowest) > 0 then return false end
  redis.call('HDEL', sums, 'cheapest' .. of .. ':' .. slot, 'narrowest' .. of .. ':' .. slot,
    'jobs' .. of .. ':' .. slot)
  if of ~= '' and number(redis.call('HGET', sums, 'jobs' .. of), 0) <= 0 then
    redis.call('HDEL', sums, 'cheapest' .. of, 'narrowest' .. of, 'jobs' .. of)
  end
  return true
end

-- Answers slot, cheapest and narrowest cost, '@client' or '', and the requirement, of a waiting job.
local function entry_of(id)
  return string.match(redis.call('HGET', entries, id) or '', '^([^:]+):(%d+):(%d+)(@?[^\n]*)\n?(.*)$')
end

-- The waiting jobs of a client (`of`: '@client'), by their latest start.
local function pending_of(of)
  return pending .. of
end

-- Notes which of a client's waiting jobs must start first.
local function lead(of)
  local first, client = redis.call('ZRANGE', pending_of(of), 0, 0, 'WITHSCORES'), string.sub(of, 2)
  if first[1] then redis.call('ZADD', heads, first[2], client) else redis.call('ZREM', heads, client) end
end

-- Counts one more waiting job of this requirement, and wakes a worker that meets it.
local function call_for(requirement)
  redis.call('HINCRBY', waits, requirement, 1)
  wake_for(requirement)
end

-- Counts one fewer; with the last one goes its token, so that nobody is woken in vain.
local function call_off(requirement)
  if redis.call('HINCRBY', waits, requirement, -1) > 0 then return end
  redis.call('HDEL', waits, requirement)
  redis.call('DEL', wake .. 'for:' .. requirement)
end

local function call_off_all()
  for _, requirement in ipairs(redis.call('HKEYS', waits)) do redis.call('DEL', wake .. 'for:' .. requirement) end
  redis.call('DEL', waits, wake .. 'any')
end

-- The cheapest cost of a waiting job and that of its narrowest network, in microseconds; 0 for a job that
-- does not wait.
local function costs_of(id)
  local _, cheapest, narrowest = entry_of(id)
  return tonumber(cheapest or '0'), tonumber(narrowest or '0')
end

-- Removes a job from those that wait, if it is among them, and answers its cheapest cost. What to
-- subtract was stored on its arrival: the record may be damaged by now.
local function leave(id)
  flow(now_ms(), 0, 0)
  local slot, cheapest, narrowest, of, requirement = entry_of(id)
  redis.call('ZREM', pending, id)
  redis.call('ZREM', ages, id)
  redis.call('HDEL', entries, id)
  if of and of ~= '' then redis.call('ZREM', pending_of(of), id) lead(of) end
  if requirement then call_off(requirement) end
  if redis.call('ZCARD', pending) == 0 then
    for _, client in ipairs(redis.call('ZRANGE', heads, 0, -1)) do redis.call('DEL', pending_of('@' .. client)) end
    redis.call('DEL', ages, entries, slots, sums, heads)
    call_off_all()
  elseif slot then
    if unsum('', slot, cheapest, narrowest) then redis.call('ZREM', slots, slot) end
    if of ~= '' then unsum(of, slot, cheapest, narrowest) end
  end
  return cheapest or '0'
end

local function wait(id, start, submitted, cheapest, narrowest, client, requirement)
  leave(id) -- a job whose record was lost may be submitted again; this also updates the demand
  local slot = string.format('%.0f', math.floor(start / SLOT_MS) * SLOT_MS)
  redis.call('ZADD', pending, text(start), id)
  redis.call('ZADD', ages, text(submitted), id)
  local of = client and '@' .. client or ''
  redis.call('HSET', entries, id, slot .. ':' .. cheapest .. ':' .. narrowest .. of .. '\n' .. requirement)
  redis.call('ZADD', slots, slot, slot)
  sum('', slot, 1, cheapest, narrowest)
  call_for(requirement)
  if of == '' then return end
  sum(of, slot, 1, cheapest, narrowest)
  redis.call('ZADD', pending_of(of), text(start), id)
  lead(of)
end

-- Until a worker reports when its run should end, `ends` has minus the cost of the job, and the run
-- counts as one that begins now (expected_ends).
local function lease(id, till, cheapest)
  local record = read(id, 'start_ms', 'cheapest_ms', 'narrowest_ms')
  local due, narrowest = number(record[1], 0) + number(record[2], 0), number(record[3], 0)
  redis.call('ZADD', leases, text(till), id)
  redis.call('ZADD', ends, text(0 - cheapest / 1000), id)
  redis.call('HSET', run_costs, id, text(due) .. ' ' .. text(narrowest))
end

local function unlease(id)
  redis.call('ZREM', leases, id)
  redis.call('ZREM', ends, id)
  redis.call('HDEL', run_costs, id)
  if redis.call('ZCARD', leases) == 0 then redis.call('DEL', ends, run_costs) end
end

-- The expected ends of all runs as { id, end }; a run that takes longer than expected ends in the past.
local function expected_ends(now)
  local scored, runs = redis.call('ZRANGE', ends, 0, -1, 'WITHSCORES'), {}
  for i = 1, #scored, 2 do
    local at = tonumber(scored[i + 1])
    runs[#runs + 1] = { scored[i], at > 0 and at or now - at }
  end
  return runs
end

-- The sums of one kind: the total, and that of each listed slot. The last slot stands for all that come
-- after the first SLOTS_LISTED.
local function sums_of(kind, listed)
  local fields = { kind }
  for i, slot in ipairs(listed) do fields[i + 1] = kind .. ':' .. slot end
  local costs = redis.call('HMGET', sums, unpack(fields))
  local total = table.remove(costs, 1) or '0'
  local rest = total
  for i = 1, #listed do
    costs[i] = i > SLOTS_LISTED and string.format('%.0f', rest) or costs[i] or '0'
    rest = rest - costs[i]
  end
  return total, costs
end

-- Answers { now, cheapest cost of all that waits, slots, their cheapest and narrowest costs, expected
-- ends of the runs, demand, its slack }. Times in ms, costs in microseconds; a list is one string of
-- words, which is parsed faster than many answers. `expected` are the expected ends, where they are known.
local function backlog(now, expected)
  local listed, running = redis.call('ZRANGE', slots, 0, SLOTS_LISTED), {}
  local total, cheapest = sums_of('cheapest', listed)
  local _, narrowest = sums_of('narrowest', listed)
  for i, run in ipairs(expected or expected_ends(now)) do running[i] = text(run[2]) end
  local work, urgency, time = demand_at(now)
  local function words(list) return table.concat(list, ' ') end
  return { text(now), total, words(listed), words(cheapest), words(narrowest), words(running),
    string.format('%.9g', work / (time + PRIOR_MS)),
    urgency > 0 and string.format('%.9g', work / urgency) or 'inf' }
end
