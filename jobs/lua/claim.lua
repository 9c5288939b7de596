-- Leases the job that must start first. Answers { ids ended on the way, the claim or nothing }.
local lease_ms, max_attempts, worker = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local now = now_ms()
local ended = {}

for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', text(now))) do
  local record = read(id, 'status', 'attempt', 'start_ms')
  redis.call('ZREM', leases, id)
  if record[1] == 'running' then
    if (tonumber(record[2]) or 0) >= max_attempts then
      finish(id, now, 'failed', 'error_code', 'worker_lost')
      ended[#ended + 1] = id
    else
      enqueue(id, tonumber(record[3]) and record[3] or text(now))
    end
  end
end

local claim = false
while not claim do
  local id = redis.call('ZPOPMIN', pending)[1]
  if not id then break end
  local record = read(id, 'status', 'job', 'attempt', 'submitted_ms', 'deadline_ms', 'on_miss')
  local deadline = tonumber(record[5]) or now
  if record[1] ~= 'queued' then -- lost or damaged: there is nothing to run
    redis.call('EXPIRE', records .. id, job_ttl)
    ended[#ended + 1] = id
  elseif record[6] == 'reject' and now > deadline then
    finish(id, now, 'failed', 'error_code', 'deadline_exceeded')
    ended[#ended + 1] = id
  else
    local token = tostring(redis.call('INCR', tokens))
    local attempt = tostring((tonumber(record[3]) or 0) + 1)
    redis.call('HSET', records .. id, 'status', 'running', 'token', token, 'attempt', attempt,
      'worker', worker)
    redis.call('ZADD', leases, text(now + lease_ms), id)
    tell(id, 'running')
    claim = { id, token, attempt, record[2] or '', record[4] or '', record[5] or '', text(now) }
  end
end

if redis.call('ZCARD', pending) > 0 then wake_one() else redis.call('DEL', wake) end
return { ended, claim }
