-- Makes a delivery that was given up due again, with all its attempts. Answers whether it was there.
local id, now = ARGV[6], now_ms()
if redis.call('ZREM', dead_deliveries, id) == 0 then return 0 end
redis.call('HDEL', records .. id, 'webhook_dead_ms')
return announce(id, now) and 1 or 0
