-- Put after backlog.lua: whether there is time for one more job, with the arithmetic of
-- scheduling.policy.late_ms. submit.lua decides by it, so that no other job can arrive between the decision
-- and the job.

-- A run that still takes LONG_MS gives way within YIELD_MS to jobs that cannot wait for its end
-- (workers.preemption). Its worker then counts as free, and the run as one more waiting job, at REMAINING
-- times the cost of its narrowest network. A run that has no time for a network, which is decoded,
-- resampled and encoded, gives way to small jobs, and counts at REMAINING times what it still takes.
-- `yielding` of scheduling.load has the same.
local LONG_MS, YIELD_MS, REMAINING = 100, 50, 1.5

-- Answers the due moment and the cost of the narrowest network of each run, in one string, by its id.
local function costs_of_runs()
  local listed, costs = redis.call('HGETALL', run_costs), {}
  for i = 1, #listed, 2 do costs[listed[i]] = listed[i + 1] end
  return costs
end

-- Answers the runs as { expected end, when the run must end, cost of its narrowest network }, each with its
-- `id`; the last two are 0 for a stopping run.
local function runs(now)
  local costs, found = costs_of_runs(), {}
  for i, run in ipairs(expected_ends(now)) do
    local due, narrowest = string.match(costs[run[1]] or '', '^(%S+) (%S+)$')
    found[i] = { run[2], number(due, 0), number(narrowest, 0), id = run[1] }
  end
  return found
end

-- The backlog of backlog.lua, and last the runs in words.
local function backlog_with_runs(now)
  local expected, costs, words = expected_ends(now), costs_of_runs(), {}
  local answer = backlog(now, expected)
  for i, run in ipairs(expected) do words[i] = text(run[2]) .. ' ' .. (costs[run[1]] or '0 0') end
  answer[#answer + 1] = table.concat(words, ' ')
  return answer
end

-- Answers when the running workers become free for a job, small or not, earliest first, and what
-- remains of the runs that give way as { latest start, cost }. A run that takes longer than expected may end at
-- any moment. One that `keeps` its worker gives way to nobody.
local function runs_at(now, small, keeps)
  local free, suspended = {}, {}
  for _, run in ipairs(runs(now)) do
    local at, due, remaining = math.max(now, run[1]), run[2], REMAINING * run[3]
    local soonest = now + YIELD_MS
    if small and (remaining <= 0 or due - remaining <= soonest) then remaining = REMAINING * (at - now) end
    local yields = at > now + LONG_MS and remaining > 0 and due - remaining > soonest
    if yields and not (keeps and keeps(run.id)) then
      at = soonest
      suspended[#suspended + 1] = { due - remaining, remaining }
    end
    free[#free + 1] = at
  end
  table.sort(free)
  return free, suspended
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

-- The longest run before the jobs that must start after `start` that makes none of those late which
-- are in time now, and the longest after which all are in time, negative where one is late already; as
-- in scheduling.load.run_limits. `groups` are { start, cost }.
local function run_limits(now, ends, workers, groups, start)
  local idle, following = workers - #ends, 1
  local taken, before, harmless, longest = idle * now, 0, math.huge, math.huge
  for _, group in ipairs(groups) do
    while ends[following] and ends[following] < group[1] do
      idle, taken, following = idle + 1, taken + ends[following], following + 1
    end
    if group[1] > start then
      local free = idle * group[1] - taken
      local left = math.min(free, free + idle * SLOT_MS - group[2]) - before
      if left >= 0 and left < harmless then harmless = left end
      longest = math.min(longest, left)
    end
    before = before + group[2]
  end
  return harmless, longest
end

-- By how much a job with this latest start and cost, small or not, would be late behind the jobs before
-- it, or make one behind it late; 0 or less if neither.
local function late_ms(now, start, cost, workers, small)
  -- An idle worker begins it at once, and the runs keep theirs: none of them has to be looked at.
  if redis.call('ZCARD', pending) == 0 and redis.call('ZCARD', ends) < workers then return now - start end
  local ends, groups = runs_at(now, small)
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
  return math.max(own, cost - run_limits(now, ends, workers, groups, start))
end
