-- Prolongs the lease of a batch by `lease_ms` if the token is the one that holds it, and replaces the source
-- at `index` ('' for none) by `element`, unless that source has ended. Answers 'held', 'cancelling' once its
-- caller has withdrawn what is left, 'ended' with the last source, 'lost' without the lease.
-- Computed keys: deliveries:host, idempotency (the record of the batch names them).
local id, token, lease_ms, index, element = ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9], ARGV[10]
local urls, batches, items = KEYS[OWN + 1], KEYS[OWN + 2], KEYS[OWN + 3]
local now = now_ms()
if read(id, 'lease_token')[1] ~= token then return 'lost' end
redis.call('ZADD', batches, text(now + lease_ms), id)
if index ~= '' then
  local before = string.match(redis.call('LINDEX', items, index) or '', '^%a+')
  if before == 'waiting' or before == 'running' then
    move_item(id, items, urls, index, before, element)
    if end_batch(batches, id, now) then return 'ended' end
    publish_change(id, 'running')
  end
end
return read(id, 'cancelling')[1] and 'cancelling' or 'held'
