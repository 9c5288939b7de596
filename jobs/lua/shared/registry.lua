-- Put before heartbeat.lua and retire.lua: the workers by when they cease to live, their last states, and their
-- profiles by worker and digest (jobs/heartbeat_parts.py).
local workers, states, profiles = KEYS[1], KEYS[2], KEYS[3]

local function profile_of(id, digest)
  return id .. '@' .. digest
end

-- The digest in a stored state, which is `till:digest:` and JSON.
local function digest_of(state)
  return string.match(state or '', '^[^:]*:([^:]*):') or ''
end

local function forget(id)
  redis.call('HDEL', profiles, profile_of(id, digest_of(redis.call('HGET', states, id))))
  redis.call('HDEL', states, id)
  redis.call('ZREM', workers, id)
end
