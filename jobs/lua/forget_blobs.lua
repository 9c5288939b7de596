-- Forgets objects that were deleted from the bucket. KEYS: the objects by expiry, and their sizes. ARGV: the
-- moment in ms after which none of them expires, '' for any; then their names. One that was noted anew since
-- is kept.
local expiring, sizes = KEYS[1], KEYS[2]
local until_ms = tonumber(ARGV[1])

for i = 2, #ARGV do
  local name = ARGV[i]
  local expiry = tonumber(redis.call('ZSCORE', expiring, name) or '')
  if expiry and not (until_ms and expiry > until_ms) then
    redis.call('ZREM', expiring, name)
    redis.call('HINCRBY', sizes, 'total', -tonumber(redis.call('HGET', sizes, name) or '0'))
    redis.call('HDEL', sizes, name)
  end
end
return tonumber(redis.call('HGET', sizes, 'total') or '0')
