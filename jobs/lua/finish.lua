-- Ends a job if the token is the one that runs it. Further arguments are fields and values of its
-- record. Answers whether this token has ended it (-1: no, because its result is missing), and how many
-- jobs wait.
local id, token, status, result = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local function ended()
  if held(id, token) then
    -- The result was sent along with this call, but the server may have had no memory for it.
    if result ~= '' and redis.call('EXISTS', result) == 0 then return -1 end
    finish(id, now_ms(), status, 'finished_by', token, unpack(ARGV, 10))
    return 1
  end
  -- The same call again, after a lost answer: it did end the job.
  local record = read(id, 'status', 'finished_by')
  return record[1] == status and record[2] == token and 1 or 0
end

return { ended(), redis.call('ZCARD', pending) }
