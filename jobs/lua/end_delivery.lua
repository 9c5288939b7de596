-- Records an attempt of a delivery if the token is the one that leases it: `delivered`, `failed`, which is
-- tried again after `delay_ms` unless that is later than `window_ms` after the first, or `refused`, which is
-- not. `answer` is the status of HTTP, or an error's code. Answers what the delivery is then: `delivered`,
-- `waiting` or `dead`; `lost` without the lease. The webhook follows the picture, whatever became of that.
-- Computed keys: record, deliveries:host, idempotency, batch-items (records name them; old dead ones are let go).
local id, token, outcome, answer = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local delay_ms, window_ms = tonumber(ARGV[10]), tonumber(ARGV[11])
local leased, now = read(id, 'delivery_token', 'delivery'), now_ms()
local kind = leased[2]
if leased[1] ~= token or not kind then return 'lost' end
local delivery = read(id, kind .. '_host', kind .. '_since_ms', kind .. '_attempts')
local host = delivery[1]
if not host then return 'lost' end

redis.call('HDEL', records .. id, 'delivery_token')
redis.call('HSET', records .. id, kind .. '_attempts', tostring(number(delivery[3], 0) + 1),
  kind .. '_answer', answer)

if outcome == 'failed' and now + delay_ms <= number(delivery[2], now) + window_ms then
  redis.call('HINCRBY', counts, kind .. '_failures', 1)
  redis.call('HSET', records .. id, kind .. '_due_ms', text(now + delay_ms))
  set_due(id, kind, host, now + delay_ms)
  return 'waiting'
end

local function ended()
  if outcome == 'delivered' then
    redis.call('HINCRBY', counts, kind .. 's_delivered', 1)
    redis.call('HSET', records .. id, kind .. '_delivered_ms', text(now))
    if kind == 'result' then redis.call('UNLINK', url_of(id)) end
    return 'delivered'
  end
  redis.call('HINCRBY', counts, kind .. '_failures', 1)
  redis.call('HINCRBY', counts, kind .. 's_dead', 1)
  redis.call('HSET', records .. id, kind .. '_dead_ms', text(now))
  bury(id, now)
  return 'dead'
end

remove_delivery(id, host)
redis.call('HDEL', records .. id, kind .. '_due_ms', 'delivery')
local state = ended()
if kind == 'result' then make_due(id, 'webhook', now) end
let_go(id)
return state
