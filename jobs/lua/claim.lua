-- Leases the job that must start first. Answers { ids ended on the way, the claim or nothing }.
local lease_ms, max_attempts, worker = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local now = now_ms()
local ended = {}

for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', text(now))) do
  local record = read(id, 'status', 'attempt')
  unlease(id)
  if record[1] == 'running' then
    if number(record[2], 0) >= max_attempts then
      finish(id, now, 'failed', 'error_code', 'worker_lost')
      redis.call('HINCRBY', counts, 'dead_letters', 1)
      ended[#ended + 1] = id
    else
      enqueue(id, now)
      redis.call('HINCRBY', counts, 'redeliveries', 1)
    end
  end
end

local claim = false
while not claim do
  local id = redis.call('ZRANGE', pending, 0, 0)[1]
  if not id then break end
  local cost = leave(id)
  local record = read(id, 'status', 'job', 'attempt', 'submitted_ms', 'deadline_ms', 'on_miss')
  local deadline = number(record[5], now)
  if record[1] ~= 'queued' then -- lost or damaged: there is nothing to run
    redis.call('EXPIRE', records .. id, job_ttl)
    ended[#ended + 1] = id
  elseif record[6] == 'reject' and now > deadline then
    finish(id, now, 'failed', 'error_code', 'deadline_exceeded')
    ended[#ended + 1] = id
  else
    local token = tostring(redis.call('INCR', tokens))
    local attempt = tostring(number(record[3], 0) + 1)
    claim = { id, token, attempt, record[2] or '', record[4] or '', record[5] or '', backlog(now) }
    redis.call('HSET', records .. id, 'status', 'running', 'token', token, 'attempt', attempt,
      'worker', worker)
    lease(id, now + lease_ms, cost)
    tell(id, 'running')
  end
end

if redis.call('ZCARD', pending) > 0 then wake_one() else redis.call('DEL', wake) end
return { ended, claim }
