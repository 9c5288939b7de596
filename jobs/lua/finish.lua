-- Ends a job if the token is the one that runs it. Further arguments are fields and values of its
-- record. Answers whether this token has ended it (-1: no, because its result is missing), and how many
-- jobs wait. A small result, stored as `result`, goes to the gateway that submitted the job, with the end.
-- Computed keys: pending@client, deliveries:host, idempotency, wake (the entry and the record of the job name them).
local RESULT_BYTES = 65536
local id, token, status, result = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

-- What the gateway would otherwise have to read: attempt, moment, run facts and picture (jobs/job_event.py).
local function enclosed(now)
  local record = read(id, 'gateway', 'attempt')
  if result == '' or ARGV[10] ~= 'facts' or (record[1] or '') == '' then return '' end
  local size = redis.pcall('STRLEN', result)
  if type(size) ~= 'number' or size > RESULT_BYTES then return '' end
  local facts = ARGV[11]
  local head = table.concat({ '', record[2] or '0', text(now), #facts }, ':')
  return head .. ':' .. facts .. redis.call('GET', result)
end

local function ended()
  if held(id, token) then
    -- The result was sent along with this call, but the server may have had no memory for it.
    if result ~= '' and redis.call('EXISTS', result) == 0 then return -1 end
    local now = now_ms()
    record_end(id, now, status, 'finished_by', token, unpack(ARGV, 10))
    publish_end(id, status, enclosed(now))
    return 1
  end
  -- The same call again, after a lost answer: it did end the job.
  local record = read(id, 'status', 'finished_by')
  return record[1] == status and record[2] == token and 1 or 0
end

return { ended(), redis.call('ZCARD', pending) }
