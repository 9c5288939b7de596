-- Withdraws what is left of a batch: the sources that wait end here; those that run are withdrawn by the
-- gateway that holds the batch, which learns of it at its next update.
-- Computed keys: deliveries:host, idempotency (the record of the batch names them).
local id = ARGV[6]
local urls, batches, items = KEYS[OWN + 1], KEYS[OWN + 2], KEYS[OWN + 3]
local now = now_ms()
local status = read(id, 'status')[1]
if status ~= 'waiting' and status ~= 'running' then return end
redis.call('HSET', records .. id, 'cancelling', text(now))
for place, element in ipairs(redis.call('LRANGE', items, 0, -1)) do
  local state, data = string.match(element, '^(%a+)( .*)')
  if state == 'waiting' then move_item(id, items, urls, place - 1, state, 'cancelled' .. data) end
end
if not end_batch(batches, id, now) then publish_change(id, 'running') end
