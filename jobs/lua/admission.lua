-- Put after backlog.lua: whether there is time for one more job, as scheduling.policy.admit tells it
-- of the same backlog. Here, so that nobody else's job can come between the answer and the job.

-- What still takes LONG_MS can be set aside within YIELD_MS for jobs that cannot wait for its end
-- (workers.preemption): then its worker counts as free, and it as one more that waits, with what its
-- narrowest network takes, and something more.
local LONG_MS, YIELD_MS, REST = 100, 50, 1.5

-- When the workers that run something are free, earliest first, and what of it waits then. A run that
-- has taken longer than was expected is expected to end at any moment.
local function runs_at(now)
  local said, free, rests = redis.call('ZRANGE', ends, 0, -1, 'WITHSCORES'), {}, {}
  for i = 1, #said, 2 do
    local at = tonumber(said[i + 1])
    local record = read(said[i], 'start_ms', 'cheapest_ms', 'narrowest_ms')
    local rest = REST * number(record[3], 0)
    local start = number(record[1], 0) + number(record[2], 0) - rest
    at = math.max(now, at > 0 and at or now - at)
    if at > now + LONG_MS and rest > 0 and start > now + YIELD_MS then
      at = now + YIELD_MS
      rests[#rests + 1] = { start, rest }
    end
    free[#free + 1] = at
  end
  table.sort(free)
  return free, rests
end

-- After how long a job would begin, behind so much work, if what runs ends so.
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

-- How much more may be done before the jobs that must start after `start`, with all of those still in
-- time that now are: the `kept_ms` of scheduling.backlog.pressure. `groups` are { start, cost }.
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

-- By how much the jobs before it would make a job late that must start at `start` and costs so much,
-- or it those behind it; 0 or less if none is.
local function late_ms(now, start, cost, workers)
  local ends, groups = runs_at(now)
  local told = redis.call('ZRANGE', slots, 0, SLOTS_TOLD)
  local _, costs = sums_of('cost', told)
  for i, slot in ipairs(told) do
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
