-- Answers the heartbeats of the live workers, and removes the ids of the others.
-- Computed keys: heartbeat (the set of the workers names them).
local workers, prefix = KEYS[1], ARGV[1]
local alive = {}

for _, id in ipairs(redis.call('SMEMBERS', workers)) do
  local heartbeat = redis.call('GET', prefix .. id)
  if heartbeat then
    alive[#alive + 1] = heartbeat
  else
    redis.call('SREM', workers, id)
  end
end

return alive
