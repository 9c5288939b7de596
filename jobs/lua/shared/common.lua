-- Put before each queue script. Times are in milliseconds of Redis's own clock.
-- A step declares the keys that it can know before it runs (jobs/declared_keys.py). Those that follow from what it
-- reads, such as the record of the job that it finds, it computes; all have one hash tag, so in a cluster they are in
-- the slot of the declared ones. The head of each step names its computed keys: `record` (job:ID), `result-url`
-- (job:ID:result-url), `payload`, `pending@client`, `deliveries:host`, `idempotency`, `batch-items`,
-- `wake` (wake:for:REQUIREMENT, wake:any, wake:sweep).
local pending, leases, waits, tokens = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ages, entries, slots, sums, ends = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local demand, capabilities, counts = KEYS[10], KEYS[11], KEYS[12]
local deliveries, delivery_hosts = KEYS[13], KEYS[14]
local dead_deliveries, delivery_wake = KEYS[15], KEYS[16]
local active, shares = KEYS[17], KEYS[18]
local heads, live_workers, run_costs = KEYS[19], KEYS[20], KEYS[21]
local waiting_deliveries = { result = KEYS[22], webhook = KEYS[23] }
local OWN = 23 -- the keys of every step; then come those of a client or a batch, and those of a job
local records, events, wake = ARGV[1], ARGV[2], ARGV[3]
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

-- Each job and batch has two channels, which those receive who follow it: many wait for the end alone.
local function publish_change(id, status)
  redis.call('PUBLISH', events .. 'change:' .. id, status .. ':' .. id)
end

-- The end of a job also goes to the gateway that submitted it, with what is `enclosed` (finish.lua): that one
-- need not follow its own jobs.
local function publish_end(id, status, enclosed)
  local record = read(id, 'token', 'gateway')
  local news = status .. ':' .. id .. ':' .. (record[1] or '')
  if (record[2] or '') ~= '' then redis.call('PUBLISH', record[2], news .. enclosed) end
  redis.call('PUBLISH', events .. 'end:' .. id, news)
end

local function drop_payload(id)
  if payloads ~= '' then redis.call('UNLINK', payloads .. id) end
end

-- Idle workers block on lists: that of each requirement which they meet (`any` for a worker that meets all), and
-- `sweep`. One token wakes one worker; its claim wakes the next if more jobs wait that it could run.
local function put_token(list)
  if redis.call('LLEN', wake .. list) == 0 then redis.call('RPUSH', wake .. list, '1') end
end

local function wake_for(requirement)
  put_token('for:' .. requirement)
  put_token('any')
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
