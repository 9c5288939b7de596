-- Takes back what charge.lua has counted for a job that was not accepted, once. The keys are the same.
local id, pixels = ARGV[6], tonumber(ARGV[7])
local counters, jobs, note = KEYS[OWN + 1], KEYS[OWN + 2], KEYS[OWN + 3]
local day = redis.call('GETDEL', note)
if not day then return end
redis.call('SREM', jobs, id)
if redis.call('HGET', counters, 'day') ~= day then return end
redis.call('HINCRBY', counters, 'pixels', string.format('%.0f', 0 - pixels))
