-- Stores a worker's state and capabilities until their time to live is over, and its profile if that is sent.
-- Answers nothing where a profile of this digest is not stored: it must be sent then. Else { how many workers
-- live, number of the last reload request, requested models }.
-- Heartbeats also look after the queue, so that idle workers need not: once a second, they see to it that each
-- requirement which waits has its token, and wake a worker for a claim, which ends what has to end; at once
-- where a lease has run out.
-- Computed keys: wake (by what waits).
local capabilities, pending, leases, waits = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local swept, reloads, requested = KEYS[8], KEYS[9], KEYS[10]
local wake, id, digest, state, profile, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local SWEEP_MS = 1000
-- Longer than a worker waits for a job: until then it is known to be asleep (claim.lua).
local FORGOTTEN_MS = 20000

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local function text(ms)
  return string.format('%.3f', ms)
end

local function put_token(list)
  if redis.call('LLEN', wake .. list) == 0 then redis.call('RPUSH', wake .. list, '1') end
end

local function store_state()
  local before = digest_of(redis.call('HGET', states, id))
  if profile ~= '' then redis.call('HSET', profiles, profile_of(id, digest), profile) end
  if before ~= digest then redis.call('HDEL', profiles, profile_of(id, before)) end
  local till, met = text(now + ttl), {}
  redis.call('ZADD', workers, till, id)
  redis.call('HSET', states, id, till .. ':' .. digest .. ':' .. state)
  for i = 7, #ARGV do
    met[#met + 1] = till
    met[#met + 1] = ARGV[i]
  end
  if #met > 0 then redis.call('ZADD', capabilities, unpack(met)) end
end

-- Once a second, whoever comes first.
local function look_after()
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', text(now - FORGOTTEN_MS))) do forget(gone) end
  for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ttl + 2 * FORGOTTEN_MS) end
  local waiting = redis.call('HKEYS', waits)
  for _, requirement in ipairs(waiting) do put_token('for:' .. requirement) end
  if redis.call('ZCARD', pending) > 0 then put_token('any') put_token('sweep') end
end

-- First, because it takes no memory: a full Redis lets a script go on that has written already, and
-- live workers must not seem dead then.
redis.call('ZREMRANGEBYSCORE', capabilities, '-inf', text(now))
if profile == '' and redis.call('HEXISTS', profiles, profile_of(id, digest)) == 0 then return false end
store_state()
if redis.call('SET', swept, '1', 'NX', 'PX', SWEEP_MS) then look_after() end
if redis.call('ZRANGEBYSCORE', leases, '-inf', text(now), 'LIMIT', 0, 1)[1] then put_token('sweep') end
return { redis.call('ZCOUNT', workers, text(now), '+inf'), redis.call('GET', reloads) or '0',
  redis.call('SMEMBERS', requested) }
