-- Put after lateness.lua: idempotency keys. The hash of a key has the `fingerprint` of its first request and
-- the `id` of that one's job, and counts for as long as the job has a record.

-- Answers nothing for a new key; { 'same', the record } for a repeated request; { 'reused' } for another
-- one with the key of an earlier one.
local function repeated(key, fingerprint)
  if key == '' then return nil end
  local first = redis.pcall('HMGET', key, 'fingerprint', 'id')
  if first.err or not first[2] or redis.call('EXISTS', records .. first[2]) == 0 then return nil end
  if first[1] ~= fingerprint then return { 'reused' } end
  local record = redis.pcall('HGETALL', records .. first[2])
  return { 'same', record.err and {} or record }
end

local function remember(key, fingerprint, id)
  if key == '' then return end
  redis.call('DEL', key)
  redis.call('HSET', key, 'fingerprint', fingerprint, 'id', id)
  redis.call('HSET', records .. id, 'idempotency_key', key)
end
