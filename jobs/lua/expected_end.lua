-- Stores when a run is expected to end. Only replaces an end that is there: no lease is created.
local id, token, predicted_ms = ARGV[6], ARGV[7], number(ARGV[8], 0)

if held(id, token) then redis.call('ZADD', ends, 'XX', text(now_ms() + predicted_ms), id) end
