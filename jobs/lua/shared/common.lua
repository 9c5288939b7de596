-- Put before each queue script. Times are in milliseconds of Redis's own clock.
-- A step declares the keys that it can know before it runs (jobs/declared_keys.py). Those that follow from what it
-- reads, such as the record of the job that it finds, it computes; all have one hash tag, so in a cluster they are in
-- the slot of the declared ones. The head of each step names its computed keys: `record` (job:ID), `result-url`
-- (job:ID:result-url), `payload`, `pending@client`, `deliveries:host`, `idempotency`, `batch-items`.
local pending, leases, wake, tokens = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ages, entries, slots, sums, ends = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local demand, capabilities, counts = KEYS[10], KEYS[11], KEYS[12]
local deliveries, delivery_hosts = KEYS[13], KEYS[14]
local dead_deliveries, delivery_wake = KEYS[15], KEYS[16]
local active, shares = KEYS[17], KEYS[18]
local heads, live_workers, run_costs = KEYS[19], KEYS[20], KEYS[21]
local waiting_deliveries = { result = KEYS[22], webhook = KEYS[23] }
local OWN = 23 -- the keys of every step; then come those of a client or a batch, and those of a job
local records, ended_channel, changes_channel = ARGV[1], ARGV[2], ARGV[3]
local payloads, job_ttl = ARGV[4], ARGV[5] -- payloads: '' where pictures have a Redis of their own

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000
end

local function text(ms)
  return string.format('%.3f', ms)
end

-- A record of the wrong type reads as a missing one: no script fails because of it.
local function read(id, ...)
  local values = redis.pcall('HMGET', records .. id, ...)
  if values.err then return {} end
  return values
end

local function number(value, default)
  local found = tonumber(value)
  return found and found == found and found or default -- tonumber parses "nan"
end

-- Ends have a channel of their own: every gateway waits for those, and few for the changes before.
local function publish_change(id, status)
  redis.call('PUBLISH', changes_channel, status .. ':' .. id)
end

local function publish_end(id, status, token)
  redis.call('PUBLISH', ended_channel, status .. ':' .. id .. ':' .. token)
end

local function drop_payload(id)
  if payloads ~= '' then redis.call('UNLINK', payloads .. id) end
end

-- One token wakes one worker; its claim wakes the next if more jobs wait.
local function wake_one()
  if redis.call('LLEN', wake) == 0 then redis.call('RPUSH', wake, '1') end
end

-- Leases a record to one gateway, which alone knows the new token in this field of it.
local function fence(id, field)
  local token = tostring(redis.call('INCR', tokens))
  redis.call('HSET', records .. id, field, token)
  return token
end

-- Whether this token is the one that runs the job.
local function held(id, token)
  local record = read(id, 'status', 'token')
  return record[1] == 'running' and record[2] == token
end
