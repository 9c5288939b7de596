-- Leases batches that no gateway works off, oldest lease first, `most` at most. Answers { id, token } of each.
-- Computed keys: record (the batches are found in it).
local lease_ms, most = tonumber(ARGV[6]), tonumber(ARGV[7])
local batches, now = KEYS[OWN + 2], now_ms()
local claims = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', batches, '-inf', text(now), 'LIMIT', 0, most)) do
  local record = read(id, 'batch', 'started_ms')
  if not record[1] then -- lost or damaged
    redis.call('ZREM', batches, id)
  else
    claims[#claims + 1] = { id, fence(id, 'lease_token') }
    redis.call('ZADD', batches, text(now + lease_ms), id)
    if not record[2] then
      redis.call('HSET', records .. id, 'status', 'running', 'started_ms', text(now))
      publish_change(id, 'running')
    end
  end
end
return claims
