-- Withdraws a job that has not ended. Its worker, if it has one, is notified at its next renewal, within
-- STOP_MS, and counts as busy until it reports that the run has stopped (report_stopped.lua), or its
-- lease runs out.
-- Computed keys: pending@client, deliveries:host, idempotency, wake (the entry and the record of the job name them).
local STOP_MS = 1000 -- workers.main.MAX_RENEWAL_S
local id = ARGV[6]
local record = read(id, 'status', 'token')
local status, now = record[1], now_ms()

-- When the worker of a run that is stopped now should be free. An overdue one may hang.
local function free_at()
  local at = number(redis.call('ZSCORE', ends, id), 0)
  local left = at > 0 and at - now or 0 - at
  return now + (left > 0 and math.min(left, STOP_MS) or STOP_MS)
end

if status == 'queued' then
  finish(id, now, 'cancelled')
elseif status == 'running' then
  local till, at = redis.call('ZSCORE', leases, id), free_at()
  finish(id, now, 'cancelled')
  if till then keep_stopping_run(stopping_run(id, record[2] or ''), number(till, now), at) end
end
