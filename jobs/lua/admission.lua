-- Put after backlog.lua: whether there is time for one more job, as scheduling.policy.admit tells it
-- of the same backlog. Here, so that nobody else's job can come between the answer and the job.

-- The predicted ends of what runs, earliest first; one that is over is expected at any moment.
local function ends_at(now)
  local said, ends = redis.call('ZRANGE', ends, 0, -1, 'WITHSCORES'), {}
  for i = 2, #said, 2 do
    local at = tonumber(said[i])
    ends[#ends + 1] = math.max(now, at > 0 and at or now - at)
  end
  table.sort(ends)
  return ends
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
  local told, ends = redis.call('ZRANGE', slots, 0, SLOTS_TOLD), ends_at(now)
  local _, costs = sums_of('cost', told)
  local groups, work = {}, 0
  for i, slot in ipairs(told) do
    groups[i] = { tonumber(slot), tonumber(costs[i]) / 1000 }
    if groups[i][1] <= start then work = work + groups[i][2] end
  end
  workers = math.max(workers, #ends)
  local own = wait_ms(now, ends, workers, work) - (start - now)
  return math.max(own, cost - kept_ms(now, ends, workers, groups, start))
end
