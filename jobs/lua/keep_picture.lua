-- Keeps a result as a cached picture, on the server of the pictures, and drops what is too old, and then
-- what was not used for the longest time, until all fit `limit` bytes. KEYS: the cached pictures by last use
-- and by expiry, their sizes; and, unless this call only drops, the result, the picture's own name, and the
-- hash of its group. A picture is named by its group and its variant; one of the same name is replaced.
-- With `move` the result is not needed any more. Answers whether the picture is kept, the bytes of all,
-- how many were dropped to make room, and the names of all that were dropped.
-- With `apart`, the bytes of the result, the pictures are in a bucket: the caller has copied this one, and
-- deletes the dropped ones.
-- Computed keys: cached, cached-group (the dropped pictures are found in it).
local GROUP_LENGTH, MOST_EXPIRED = 40, 100
local used, expiring, sizes, result, picture, group = unpack(KEYS)
local pictures, groups, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local most, ttl_ms, name, facts, move = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8]
local apart = tonumber(ARGV[9] or '')
local gone = {}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function total()
  return tonumber(redis.call('HGET', sizes, 'total') or '0')
end

local function drop(old)
  if old ~= name then gone[#gone + 1] = old end
  redis.call('UNLINK', pictures .. old)
  redis.call('HDEL', groups .. old:sub(1, GROUP_LENGTH), old:sub(GROUP_LENGTH + 1))
  redis.call('ZREM', used, old)
  redis.call('ZREM', expiring, old)
  redis.call('HINCRBY', sizes, 'total', -tonumber(redis.call('HGET', sizes, old) or '0'))
  redis.call('HDEL', sizes, old)
end

local function make_room(bytes)
  local dropped = 0
  while total() + bytes > limit do
    local oldest = redis.call('ZRANGE', used, 0, 0)[1]
    if not oldest then break end
    drop(oldest)
    dropped = dropped + 1
  end
  return dropped
end

for _, old in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', now, 'LIMIT', 0, MOST_EXPIRED)) do
  drop(old)
end
if not result then return { 0, total(), make_room(0), gone } end

local bytes = apart or redis.call('STRLEN', result)
if bytes == 0 or bytes > most then return { 0, total(), make_room(0), gone } end
if redis.call('ZSCORE', used, name) then drop(name) end
local dropped = make_room(bytes)
local stored
if apart then
  stored = true
elseif move ~= '' then
  stored = redis.pcall('RENAME', result, picture)
else
  stored = redis.pcall('COPY', result, picture, 'REPLACE')
end
if type(stored) == 'table' and stored.err then return { 0, total(), dropped, gone } end -- no memory for it
redis.call('PEXPIRE', picture, ttl_ms)
redis.call('HSET', group, name:sub(GROUP_LENGTH + 1), now .. ' ' .. bytes .. ' ' .. facts)
redis.call('PEXPIRE', group, ttl_ms)
redis.call('ZADD', used, now, name)
redis.call('ZADD', expiring, now + ttl_ms, name)
redis.call('HSET', sizes, name, bytes)
redis.call('HINCRBY', sizes, 'total', bytes)
return { 1, total(), dropped, gone }
