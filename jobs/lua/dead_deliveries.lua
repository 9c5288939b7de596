-- Answers { id, record } of the deliveries that were given up, newest first, `most` at most.
-- Computed keys: record (the deliveries are found in it).
local found = {}
for _, id in ipairs(redis.call('ZREVRANGE', dead_deliveries, 0, tonumber(ARGV[6]) - 1)) do
  local record = redis.pcall('HGETALL', records .. id)
  if record.err or not record[1] then
    redis.call('ZREM', dead_deliveries, id)
  else
    found[#found + 1] = { id, record }
  end
end
return found
