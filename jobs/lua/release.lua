-- Puts a job back as if it had not been claimed.
-- Computed keys: pending@client, wake (the record of the job names its client).
local id, token = ARGV[6], ARGV[7]

if held(id, token) then
  local attempt = number(read(id, 'attempt')[1], 1)
  unlease(id)
  enqueue(id, now_ms(), 'attempt', tostring(attempt - 1))
end
