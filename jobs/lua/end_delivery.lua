-- Records an attempt of a delivery if the token is the one that leases it: `delivered`, `failed`, which is
-- tried again after `delay_ms` unless that is later than `window_ms` after the first, or `refused`, which is
-- not. `answer` is the status of HTTP, or an error's code. Answers what the delivery is then: `delivered`,
-- `waiting` or `dead`; `lost` without the lease.
local id, token, outcome, answer = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local delay_ms, window_ms = tonumber(ARGV[10]), tonumber(ARGV[11])
local delivery = read(id, 'webhook_token', 'webhook_host', 'webhook_since_ms', 'webhook_attempts')
local host, now = delivery[2], now_ms()
if delivery[1] ~= token or not host then return 'lost' end

redis.call('HDEL', records .. id, 'webhook_token')
redis.call('HSET', records .. id, 'webhook_attempts', tostring(number(delivery[4], 0) + 1),
  'webhook_answer', answer)

if outcome == 'failed' and now + delay_ms <= number(delivery[3], now) + window_ms then
  redis.call('HINCRBY', counts, 'webhook_failures', 1)
  redis.call('HSET', records .. id, 'webhook_due_ms', text(now + delay_ms))
  set_due(id, host, now + delay_ms)
  return 'waiting'
end

remove_delivery(id, host)
redis.call('HDEL', records .. id, 'webhook_due_ms')
if outcome == 'delivered' then
  redis.call('HINCRBY', counts, 'webhooks_delivered', 1)
  redis.call('HSET', records .. id, 'webhook_delivered_ms', text(now))
  expire_record(id)
  return 'delivered'
end
redis.call('HINCRBY', counts, 'webhook_failures', 1)
redis.call('HINCRBY', counts, 'webhooks_dead', 1)
redis.call('HSET', records .. id, 'webhook_dead_ms', text(now))
bury(id, now)
return 'dead'
