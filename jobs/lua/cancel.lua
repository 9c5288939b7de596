-- Withdraws a job that has not ended. Its worker, if it has one, is notified at its next renewal.
local id = ARGV[6]
local status = read(id, 'status')[1]

if status == 'queued' or status == 'running' then finish(id, now_ms(), 'cancelled') end
