-- Makes a delivery that was given up due again, with all its attempts; the webhook of a picture is sent again
-- after it. Answers whether it was there.
-- Computed keys: deliveries:host (the record of the job names them).
local id, now = ARGV[6], now_ms()
if redis.call('ZREM', dead_deliveries, id) == 0 then return 0 end
local record = read(id, 'result_dead_ms', 'webhook_host')
if record[2] then remove_delivery(id, record[2]) end -- it waits for the picture
redis.call('HDEL', records .. id, 'delivery_token', 'result_dead_ms', 'webhook_dead_ms', 'webhook_due_ms',
  'webhook_delivered_ms')
return make_due(id, record[1] and 'result' or 'webhook', now) and 1 or 0
