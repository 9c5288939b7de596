-- Notes when a run is expected to end. Only where one is noted already: no lease comes of this.
local id, token, predicted_ms = ARGV[6], ARGV[7], number(ARGV[8], 0)

if held(id, token) then redis.call('ZADD', ends, 'XX', text(now_ms() + predicted_ms), id) end
