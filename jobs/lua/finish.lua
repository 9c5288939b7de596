-- Ends a job, if the token is the one that runs it. Further arguments are fields and values.
local id, token, status = ARGV[4], ARGV[5], ARGV[6]

if held(id, token) then
  finish(id, now_ms(), status, 'finished_by', token, unpack(ARGV, 7))
  return 1
end

-- The same call again, because its answer was lost: it did end the job.
local record = read(id, 'status', 'finished_by')
if record[1] == status and record[2] == token then return 1 end
return 0
