-- Put after repeats.lua: deliveries, which gateways make for a job that has ended: `result`, its picture goes
-- where the caller wants it, and after that `webhook`, its end is announced. A job has one at a time: the field
-- `delivery` of its record. Fields of each begin with its name: `result_host`, `webhook_host`.
-- Those that wait are in a set for their kind, by when they are due; one that a gateway has leased is due at the
-- end of its lease. Each host has such a set as well, and `delivery_hosts` the hosts by when their first one is
-- due. The record of the job is the delivery's content, and does not expire before its end.
local MOST_DEAD = 1000 -- jobs with deliveries that were given up and are kept
local KINDS = { 'result', 'webhook' }

local function of_host(host)
  return deliveries .. ':' .. host
end

-- Where a URL is kept that lets its owner write: not in the record, which many may read.
local function url_of(id)
  return records .. id .. ':result-url'
end

-- Notes in a job's record what is to be delivered at its end: '' for nothing. `put_url` is kept for `put_ttl`
-- seconds.
local function agree_deliveries(id, webhook_url, webhook_host, place, place_host, put_url, put_ttl)
  if webhook_url ~= '' then
    redis.call('HSET', records .. id, 'webhook_url', webhook_url, 'webhook_host', webhook_host)
  end
  if place ~= '' then
    redis.call('HSET', records .. id, 'result_place', place, 'result_host', place_host)
    if put_url ~= '' then redis.call('SET', url_of(id), put_url, 'EX', put_ttl) end
  end
end

local function update_host(host)
  local first = redis.call('ZRANGE', of_host(host), 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', delivery_hosts, first[2], host)
  else
    redis.call('ZREM', delivery_hosts, host)
  end
end

local function set_due(id, kind, host, at)
  redis.call('ZADD', waiting_deliveries[kind], text(at), id)
  redis.call('ZADD', of_host(host), text(at), id)
  update_host(host)
end

local function remove_delivery(id, host)
  for _, kind in ipairs(KINDS) do redis.call('ZREM', waiting_deliveries[kind], id) end
  redis.call('ZREM', of_host(host), id)
  update_host(host)
end

local function wake_courier()
  if redis.call('LLEN', delivery_wake) == 0 then redis.call('RPUSH', delivery_wake, '1') end
end

-- Makes a delivery of an ended job due, if it has one of this kind, and answers whether it has.
local function make_due(id, kind, now)
  local host = read(id, kind .. '_host')[1]
  if not host then return false end
  redis.call('HSET', records .. id, 'delivery', kind, kind .. '_attempts', '0', kind .. '_since_ms',
    text(now), kind .. '_due_ms', text(now))
  set_due(id, kind, host, now)
  wake_courier()
  return true
end

-- Makes the first delivery of an ended job due, and answers whether it has any. Without a picture there is
-- nothing to put anywhere.
local function announce(id, now, status)
  if status == 'succeeded' and make_due(id, 'result', now) then return true end
  redis.call('UNLINK', url_of(id))
  return make_due(id, 'webhook', now)
end

-- Lets a record expire, and with it its idempotency key, and the sources of a batch (batches.lua).
local function expire_record(id)
  redis.call('EXPIRE', records .. id, job_ttl)
  for _, key in ipairs(read(id, 'idempotency_key', 'items_key')) do
    if key then redis.call('EXPIRE', key, job_ttl) end
  end
end

-- Lets a record expire unless a delivery of its job waits, or was given up and is kept.
local function let_go(id)
  for _, kind in ipairs(KINDS) do
    if redis.call('ZSCORE', waiting_deliveries[kind], id) then return end
  end
  if not redis.call('ZSCORE', dead_deliveries, id) then expire_record(id) end
end

-- Keeps a job with a delivery that was given up, and the oldest of them no longer.
local function bury(id, now)
  redis.call('ZADD', dead_deliveries, text(now), id)
  for _ = MOST_DEAD + 1, redis.call('ZCARD', dead_deliveries) do
    let_go(redis.call('ZPOPMIN', dead_deliveries)[1])
  end
end
