-- Put after common.lua: the arithmetic of jobs/budget.py, for what is decided within the queue.

-- How long a run of this cost may wait before it must start; negative if the budget is too small.
local function start_slack_ms(budget, cost, overhead)
  return budget - overhead - cost
end

-- A moment is late only after the deadline, not on it.
local function is_late(now, deadline)
  return now > deadline
end
