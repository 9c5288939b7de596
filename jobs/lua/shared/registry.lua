-- Put before heartbeat.lua and retire.lua: the workers by when they cease to live, their last pulses, and their
-- profiles by worker and digest (jobs/pulse.py).
local workers, pulses, profiles = KEYS[1], KEYS[2], KEYS[3]

local function profile_of(id, digest)
  return id .. '@' .. digest
end

-- The digest in a stored pulse, which is `till:digest:` and JSON.
local function digest_of(pulse)
  return string.match(pulse or '', '^[^:]*:([^:]*):') or ''
end

local function forget(id)
  redis.call('HDEL', profiles, profile_of(id, digest_of(redis.call('HGET', pulses, id))))
  redis.call('HDEL', pulses, id)
  redis.call('ZREM', workers, id)
end
