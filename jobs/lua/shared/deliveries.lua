-- Put after repeats.lua: webhooks, whose deliveries are due from the end of a job that has a `webhook_url`.
-- `deliveries` has all that wait, by when they are due; one that a gateway has leased is due at the end of
-- its lease. Each host has such a set of its own, and `delivery_hosts` the hosts by when their first one is
-- due. The record of the job is the delivery's content, and does not expire before its end.
local MOST_DEAD = 1000 -- deliveries that were given up and are kept

local function of_host(host)
  return deliveries .. ':' .. host
end

local function update_host(host)
  local first = redis.call('ZRANGE', of_host(host), 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', delivery_hosts, first[2], host)
  else
    redis.call('ZREM', delivery_hosts, host)
  end
end

local function set_due(id, host, at)
  redis.call('ZADD', deliveries, text(at), id)
  redis.call('ZADD', of_host(host), text(at), id)
  update_host(host)
end

local function remove_delivery(id, host)
  redis.call('ZREM', deliveries, id)
  redis.call('ZREM', of_host(host), id)
  update_host(host)
end

local function wake_courier()
  if redis.call('LLEN', delivery_wake) == 0 then redis.call('RPUSH', delivery_wake, '1') end
end

-- Makes the delivery of an ended job due, if it has one, and answers whether it has.
local function announce(id, now)
  local host = read(id, 'webhook_host')[1]
  if not host then return false end
  redis.call('HSET', records .. id, 'webhook_attempts', '0', 'webhook_since_ms', text(now),
    'webhook_due_ms', text(now))
  set_due(id, host, now)
  wake_courier()
  return true
end

-- Lets a record expire, and with it its idempotency key, and the sources of a batch (batches.lua).
local function expire_record(id)
  redis.call('EXPIRE', records .. id, job_ttl)
  for _, key in ipairs(read(id, 'idempotency_key', 'items_key')) do
    if key then redis.call('EXPIRE', key, job_ttl) end
  end
end

-- Keeps a delivery that was given up, and the oldest of them no longer.
local function bury(id, now)
  redis.call('ZADD', dead_deliveries, text(now), id)
  for _ = MOST_DEAD + 1, redis.call('ZCARD', dead_deliveries) do
    expire_record(redis.call('ZPOPMIN', dead_deliveries)[1])
  end
end
