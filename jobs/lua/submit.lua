-- Accepts a job, unless the queue is full, or the job would be late, or make another late. A
-- repeated submit (a lost answer) changes nothing. With no `stored`, its picture is not here yet: the
-- answer 'free' then says that it would be accepted now.
local id, job, remaining, floor, on_miss, limit, network, needs, answer =
  ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], tonumber(ARGV[11]),
  tonumber(ARGV[12]), ARGV[13], tonumber(ARGV[14])
local workers, payload_ttl, stored = tonumber(ARGV[15]), ARGV[16], ARGV[17] ~= ''

local now = now_ms()
local deadline = now + remaining
local start = deadline - answer - floor

local function refused(...)
  if stored then drop_payload(id) end
  return { ... }
end

if redis.call('EXISTS', records .. id) == 1 then return { 'known' } end
if redis.call('ZCARD', pending) >= limit then return refused('full') end
local late = workers > 0 and late_ms(now, start, floor, workers) or 0
if late > 0 then return refused('late', text(late), backlog(now)) end
if not stored then return { 'free' } end
-- Sent along with this call, it may have found no room.
if payloads ~= '' and redis.call('EXPIRE', payloads .. id, payload_ttl) == 0 then
  return refused('full')
end

-- Noted with the job, so that it leaves the demand with it if it is not to be done.
local slack = math.max(1, remaining - answer - network)
local came = redis.call('ZCARD', pending) > 0 and text(slack) or ''
if came ~= '' then flow(now, network, network / slack) end
enqueue(id, now, 'job', job, 'submitted_ms', text(now), 'deadline_ms', text(deadline),
  'start_ms', text(start), 'cheapest_ms', text(floor), 'network_ms', text(network),
  'on_miss', on_miss, 'needs', needs, 'attempt', '0', 'inflow_slack_ms', came)
wake_one()
return { 'accepted', text(now), text(deadline) }
