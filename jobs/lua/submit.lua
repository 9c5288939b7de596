-- Accepts a job, unless the queue is full. A repeated submit (a lost answer) changes nothing.
local id, job, remaining, floor, on_miss, limit, network, needs, answer =
  ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9]),
  tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12])

if redis.call('EXISTS', records .. id) == 1 then return { 'known' } end
if redis.call('ZCARD', pending) >= limit then return { 'full' } end

local now = now_ms()
local deadline = now + remaining
-- Noted with the job, so that it leaves the demand with it if it is not to be done.
local slack = math.max(1, remaining - answer - network)
local came = redis.call('ZCARD', pending) > 0 and text(slack) or ''
if came ~= '' then flow(now, network, network / slack) end
enqueue(id, now, 'job', job, 'submitted_ms', text(now), 'deadline_ms', text(deadline),
  'start_ms', text(deadline - answer - floor), 'floor_ms', text(floor), 'network_ms', text(network),
  'on_miss', on_miss, 'needs', needs, 'attempt', '0', 'inflow_slack_ms', came)
wake_one()
return { 'accepted', text(now), text(deadline) }
