-- Stores a batch, unless `most` have not ended, or `most_own` of its client. A repeated call (after a lost
-- answer) changes nothing, and neither does one whose idempotency key another request has (as in submit.lua).
-- The last arguments are the number of URLs to which pictures are put, each of these after the index of its
-- source, and then all sources. Answers 'accepted' or 'same' with the record, 'reused' or 'full'.
-- Computed keys: record (those of the batches that have not ended, and of a known idempotency key).
local id, batch, client, most, most_own = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local key, fingerprint, webhook_url, webhook_host = ARGV[11], ARGV[12], ARGV[13], ARGV[14]
local FIRST_URL, MOST_AT_ONCE = 16, 1000 -- unpack has a limit
local FIRST = FIRST_URL + 2 * tonumber(ARGV[15])
local urls, batches, items = KEYS[OWN + 1], KEYS[OWN + 2], KEYS[OWN + 3]

local function record()
  return redis.call('HGETALL', records .. id)
end

local function full()
  local all, own = redis.call('ZRANGE', batches, 0, -1), 0
  for _, other in ipairs(all) do
    if read(other, 'client')[1] == client then own = own + 1 end
  end
  return #all >= most or own >= most_own
end

if redis.call('EXISTS', records .. id) == 1 then return { 'accepted', record() } end
local earlier = repeated(key, fingerprint)
if earlier then return earlier end
if full() then return { 'full' } end

local now = now_ms()
for first = FIRST, #ARGV, MOST_AT_ONCE do
  redis.call('RPUSH', items, unpack(ARGV, first, math.min(first + MOST_AT_ONCE - 1, #ARGV)))
end
for first = FIRST_URL, FIRST - 1, MOST_AT_ONCE do
  redis.call('HSET', urls, unpack(ARGV, first, math.min(first + MOST_AT_ONCE - 1, FIRST - 1)))
end
redis.call('HSET', records .. id, 'name', id, 'batch', batch, 'client', client, 'status', 'waiting',
  'created_ms', text(now), 'waiting', #ARGV - FIRST + 1, 'items_key', items)
remember(key, fingerprint, id)
if webhook_url ~= '' then
  redis.call('HSET', records .. id, 'webhook_url', webhook_url, 'webhook_host', webhook_host)
end
redis.call('ZADD', batches, text(now), id)
return { 'accepted', record() }
