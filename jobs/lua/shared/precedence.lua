-- Put after shares.lua: whose job goes first while several clients are active, by `goes_first` of
-- scheduling.shares. Only claim.lua asks.
local MOST_CLIENTS = 32 -- that are looked at in one claim: those whose first jobs must start soonest

-- Whether a client has used less than its part of the workers lately, while others are active.
local function below_part(client, now, workers)
  local part = part_of(client, now)
  if not part then return false end
  local _, used = recent(client, now)
  return used / DEMAND_MS < part * workers
end

-- The expected ends of the runs, earliest first and none in the past, and how many workers there are with
-- so many more for a new run.
local function workers_at(now, free)
  local at = {}
  for i, run in ipairs(expected_ends(now)) do at[i] = math.max(now, run[2]) end
  table.sort(at)
  return at, math.max(redis.call('ZCOUNT', live_workers, text(now), '+inf'), #at + free)
end

-- The waiting jobs as groups { start, cheapest cost }, up to a latest start.
local function groups_until(start)
  local listed, groups = redis.call('ZRANGE', slots, 0, SLOTS_LISTED), {}
  local _, costs = sums_of('cheapest', listed)
  for i, slot in ipairs(listed) do
    if tonumber(slot) <= start then groups[i] = { tonumber(slot), tonumber(costs[i]) } end
  end
  return groups
end

-- Whether all that must start before a job would be in time behind a run of its narrowest network.
local function harms_none(id, start, now, ends, workers)
  local cheapest, narrowest = costs_of(id)
  local groups, ahead = groups_until(start), {}
  if #groups > 0 then groups[#groups][2] = groups[#groups][2] - cheapest end -- its own
  for _, group in ipairs(groups) do
    if group[2] > 0 then ahead[#ahead + 1] = { group[1], group[2] / 1000 } end
  end
  local _, longest = run_limits(now, ends, workers, ahead, -math.huge)
  return math.max(cheapest, narrowest) / 1000 <= longest
end

-- Answers the job that an idle worker runs before all others: the first of those clients that are below
-- their parts, of those that the worker `meets`. Nil where the usual order holds.
local function preferred(now, meets)
  if redis.call('ZCARD', active) < 2 then return nil end
  local ends, workers = workers_at(now, 1)
  for _, client in ipairs(redis.call('ZRANGE', heads, 0, MOST_CLIENTS - 1)) do
    local first = redis.call('ZRANGE', pending_of('@' .. client), 0, 0, 'WITHSCORES')
    if first[1] and below_part(client, now, workers) and meets(first[1]) then
      return harms_none(first[1], tonumber(first[2]), now, ends, workers) and first or nil
    end
  end
  return nil
end

-- Answers the number of workers if a run need not give way to the jobs of clients beyond their parts: its own
-- client is below its part, and all that waits can begin in time after it, or on the other workers, where the
-- runs of clients beyond their parts give way. Else nil.
local function keeps_its_worker(present, now)
  if redis.call('ZCARD', active) < 2 then return nil end
  local _, workers = workers_at(now, 0)
  local function keeps(run)
    return below_part(read(run, 'client')[1], now, workers)
  end
  if not keeps(present) then return nil end
  local ends, groups = runs_at(now, false, keeps)
  for _, group in ipairs(groups_until(math.huge)) do groups[#groups + 1] = { group[1], group[2] / 1000 } end
  table.sort(groups, function(one, other) return one[1] < other[1] end)
  local _, longest = run_limits(now, ends, workers, groups, -math.huge)
  return longest >= 0 and workers or nil
end
