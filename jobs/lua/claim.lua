-- Leases the job with the earliest latest start among those whose requirement is one of the worker's
-- capabilities (none named: among all), and that fit the gap of a busy worker (jobs.queue.Gap; an idle
-- one has a gap for any job). Answers { ids ended on the way, the claim or nothing, whether the worker seemed
-- asleep }. The last field of the claim is the picture if it is on this server
-- and small: copying a large one would block the server for all. With `after`, it claims nothing while
-- that job still runs: the worker could not end it. The order is that of latest start; an idle worker may
-- prefer the job of a client below its part, and `present`, the run of a busy one, may keep it from those
-- of clients beyond theirs (shared/precedence.lua).
-- With `handover_ms` above 0 the call was sent before the worker waited for it, so nobody knows whether that
-- still runs. It gets nothing unless its last heartbeat still counts, and else a lease of that length; until
-- its first renewal the attempt does not count, for no job may be given up because workers sleep.
-- Computed keys: record, payload, result-url, pending@client, deliveries:host, idempotency, wake (the jobs are found in it).
local PICTURE_BYTES = 65536
local MOST_TOO_LARGE = 64 -- jobs that do not fit the gap, and are passed over in one claim
local lease_ms, max_attempts, worker = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local unserved_ms = tonumber(ARGV[9])
local remaining_ms, spare_ms, short_ms = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local small_only, after, present = ARGV[13] ~= '', ARGV[14], ARGV[15]
local handover_ms = tonumber(ARGV[16])
local ours = #ARGV > 16 and {} or nil
for i = 17, #ARGV do ours[ARGV[i]] = true end
if after ~= '' and read(after, 'status')[1] == 'running' then return { {}, false, false } end
local now = now_ms()
local ended = {}
redis.call('DEL', wake .. 'sweep') -- what it stands for is done here

for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', text(now))) do
  local record = read(id, 'status', 'attempt', 'handed')
  local attempts = number(record[2], 0) - (record[3] == '1' and 1 or 0)
  unlease(id)
  if record[1] == 'running' then
    if attempts >= max_attempts then
      finish(id, now, 'failed', 'error_code', 'worker_lost')
      redis.call('HINCRBY', counts, 'dead_letters', 1)
      ended[#ended + 1] = id
    else
      enqueue(id, now, 'attempt', tostring(attempts))
      redis.call('HINCRBY', counts, 'redeliveries', 1)
    end
  end
end

-- A job whose requirement no live worker meets is not given up at once: a worker may be restarting.
local function unserved(id, since)
  if not since then redis.call('HSET', records .. id, 'unserved_ms', text(now)) end
  return since and now - number(since, now) > unserved_ms
end

local function others_meet(id, requirement, since)
  local till = number(redis.call('ZSCORE', capabilities, requirement), 0)
  if till > now and since then redis.call('HDEL', records .. id, 'unserved_ms') end
  return till > now
end

local function picture_of(id)
  if payloads == '' then return false end
  local size = redis.pcall('STRLEN', payloads .. id)
  return type(size) == 'number' and size <= PICTURE_BYTES and redis.call('GET', payloads .. id)
end

-- Whether a job with this latest start fits the gap. One that can wait goes first only with a network.
local function fits(id, start, small)
  if small_only and small ~= '1' then return false end
  local cheapest, narrowest = costs_of(id)
  local short = small == '1' and math.max(cheapest, narrowest) / 1000 <= short_ms
  return cheapest / 1000 <= spare_ms and (short or start - now <= remaining_ms)
end

-- Passes over a job that does not fit: one behind it may only take what it can spare after the present
-- run. A job that is too late in any case holds nobody back.
local ahead_ms = 0
local function pass_over(id, start)
  local left = start - now - remaining_ms - ahead_ms
  if left >= 0 then spare_ms = math.min(spare_ms, left) end
  ahead_ms = ahead_ms + costs_of(id) / 1000
end

local function meets(id)
  local record = read(id, 'status', 'requirement')
  return record[1] == 'queued' and (not ours or not record[2] or ours[record[2]])
end

local kept = present ~= '' and keeps_its_worker(present, now)

local function sleeps()
  local till = handover_ms > 0 and redis.call('ZSCORE', live_workers, worker)
  return till and number(till, now) < now or false
end

local asleep = sleeps()
local claim, passed, too_large = false, 0, 0
local before_all = not asleep and present == '' and preferred(now, meets)
while not asleep and not claim and too_large < MOST_TOO_LARGE do
  local at = passed + too_large
  local first = before_all or redis.call('ZRANGE', pending, at, at, 'WITHSCORES')
  before_all = nil
  local id = first[1]
  if not id then break end
  local record = read(id, 'status', 'job', 'attempt', 'submitted_ms', 'deadline_ms', 'on_miss',
    'requirement', 'unserved_ms', 'small', 'client')
  local deadline, requirement, since = number(record[5], now), record[7], record[8]
  if record[1] ~= 'queued' then -- lost or damaged: nothing to run
    leave(id)
    expire_record(id)
    drop_payload(id)
    ended[#ended + 1] = id
  elseif record[6] == 'reject' and is_late(now, deadline) then
    finish(id, now, 'failed', 'error_code', 'deadline_exceeded')
    ended[#ended + 1] = id
  elseif ours and requirement and not ours[requirement] then
    if others_meet(id, requirement, since) or not unserved(id, since) then
      passed = passed + 1
    else
      local model = string.match(requirement, '^(.*)@[^@]*$')
      local code = model and ours[model] and 'unknown_width' or 'unknown_model'
      finish(id, now, 'failed', 'error_code', code, 'error_detail',
        'No worker has ' .. requirement .. ' any more; GET /models lists what there is.')
      ended[#ended + 1] = id
    end
  elseif kept and not below_part(record[10], now, kept) or not fits(id, tonumber(first[2]), record[9]) then
    -- Those behind it start later still.
    if short_ms == 0 and first[2] - now > remaining_ms then break end
    pass_over(id, tonumber(first[2]))
    too_large = too_large + 1
  else
    local cheapest = leave(id)
    local token = tostring(redis.call('INCR', tokens))
    local attempt = tostring(number(record[3], 0) + 1)
    claim = { id, token, attempt, record[2] or '', record[4] or '', record[5] or '', backlog_for(record[10], now),
      picture_of(id) }
    redis.call('HSET', records .. id, 'status', 'running', 'token', token, 'attempt', attempt,
      'worker', worker, 'handed', handover_ms > 0 and '1' or '')
    if record[10] then redis.call('HSET', records .. id, 'claimed_ms', text(now)) end
    lease(id, now + (handover_ms > 0 and handover_ms or lease_ms), cheapest)
    publish_change(id, 'running')
  end
end

for _, requirement in ipairs(redis.call('HKEYS', waits)) do
  if not ours or ours[requirement] then wake_for(requirement) end
end
return { ended, claim, asleep and 1 or false }
