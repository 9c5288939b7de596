-- Put after backlog.lua: whether there is time for one more job, decided as by scheduling.policy.admit
-- from the same backlog. It is decided here so that no other job can arrive between the decision and
-- the job.

-- A run that still takes LONG_MS can be suspended within YIELD_MS for jobs that cannot wait for its end
-- (workers.preemption). Its worker then counts as free, and the run as one more waiting job, at REST
-- times the cost of its narrowest network.
local LONG_MS, YIELD_MS, REST = 100, 50, 1.5

-- Answers when the running workers become free, earliest first, and the rests of suspended runs as
-- { latest start, cost }. A run that takes longer than expected may end at any moment.
local function runs_at(now)
  local free, rests = {}, {}
  for _, run in ipairs(expected_ends(now)) do
    local record = read(run[1], 'start_ms', 'cheapest_ms', 'narrowest_ms')
    local rest = REST * number(record[3], 0)
    -- The latest start of the whole job, moved from its cheapest cost to that of the rest.
    local start = number(record[1], 0) + number(record[2], 0) - rest
    local at = math.max(now, run[2])
    if at > now + LONG_MS and rest > 0 and start > now + YIELD_MS then
      at = now + YIELD_MS
      rests[#rests + 1] = { start, rest }
    end
    free[#free + 1] = at
  end
  table.sort(free)
  return free, rests
end

-- After how long a job would start behind so much work, with these ends of the runs: `wait_ms` of
-- scheduling.load.
local function wait_ms(now, ends, workers, work)
  local free = {}
  for _ = 1, workers - #ends do free[#free + 1] = 0 end
  for _, at in ipairs(ends) do free[#free + 1] = at - now end
  local level = free[1]
  for filled = 1, #free - 1 do
    local step = (free[filled + 1] - level) * filled
    if step >= work then return level + work / filled end
    work, level = work - step, free[filled + 1]
  end
  return level + work / #free
end

-- How much work fits before the jobs that must start after `start` without making late any of those
-- that are in time now: `kept_ms` of scheduling.load.pressure. `groups` are { start, cost }.
local function kept_ms(now, ends, workers, groups, start)
  local idle, following = workers - #ends, 1
  local taken, before, kept = idle * now, 0, math.huge
  for _, group in ipairs(groups) do
    while ends[following] and ends[following] < group[1] do
      idle, taken, following = idle + 1, taken + ends[following], following + 1
    end
    if group[1] > start then
      local free = idle * group[1] - taken
      local left = math.min(free, free + idle * SLOT_MS - group[2]) - before
      if left >= 0 and left < kept then kept = left end
    end
    before = before + group[2]
  end
  return kept
end

-- By how much a job with this latest start and cost would be late behind the jobs before it, or make
-- one behind it late; 0 or less if neither.
local function late_ms(now, start, cost, workers)
  local ends, groups = runs_at(now)
  local listed = redis.call('ZRANGE', slots, 0, SLOTS_LISTED)
  local _, costs = sums_of('cheapest', listed)
  for i, slot in ipairs(listed) do
    groups[#groups + 1] = { tonumber(slot), tonumber(costs[i]) / 1000 }
  end
  table.sort(groups, function(one, other) return one[1] < other[1] end)
  local work = 0
  for _, group in ipairs(groups) do
    if group[1] <= start then work = work + group[2] end
  end
  workers = math.max(workers, #ends)
  local own = wait_ms(now, ends, workers, work) - (start - now)
  return math.max(own, cost - kept_ms(now, ends, workers, groups, start))
end
