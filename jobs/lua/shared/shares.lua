-- Put after backlog.lua: the clients against each other, by the arithmetic of scheduling.shares. A client is
-- active for ACTIVE_MS after each job that it sends. `active` has those that are, by when they cease to be;
-- `shares` is a hash: the sum of their weights, and of each client its weight, its recent work that came
-- while others waited, the time of its recent runs, and the moment of these two.
local ACTIVE_MS = 10000
local FULL_RETRY_MS = 1000 -- when to ask again with a part of the queue's places taken

local function of(name, client)
  return name .. '@' .. client
end

local function forget_inactive(now)
  for _, client in ipairs(redis.call('ZRANGEBYSCORE', active, '-inf', text(now))) do
    local weight = number(redis.call('HGET', shares, of('weight', client)), 0)
    redis.call('HINCRBY', shares, 'weights', 0 - weight)
    redis.call('HDEL', shares, of('weight', client), of('work', client), of('used', client), of('at', client))
    redis.call('ZREM', active, client)
  end
  if redis.call('ZCARD', active) == 0 then redis.call('DEL', shares) end
end

-- The client of a job that a caller without a key sends, while clients with keys are active: through a signed
-- link, or to a gateway without keys. No client has such a name. Nil while none is active, and for all jobs
-- where there are no keys: they are not weighed at all.
local NAMELESS = '(anonymous)'
local function client_without_key(now)
  if redis.call('ZCARD', active) == 0 then return nil end
  forget_inactive(now)
  local nameless = redis.call('ZSCORE', active, NAMELESS) and 1 or 0
  return redis.call('ZCARD', active) > nameless and NAMELESS or nil
end

-- Notes that a client of this weight sends a job.
local function sends(client, weight, now)
  forget_inactive(now)
  local before = number(redis.call('HGET', shares, of('weight', client)), 0)
  redis.call('HINCRBY', shares, 'weights', weight - before)
  redis.call('HSET', shares, of('weight', client), weight)
  redis.call('ZADD', active, text(now + ACTIVE_MS), client)
  redis.call('PEXPIRE', shares, 20 * ACTIVE_MS)
  redis.call('PEXPIRE', active, 20 * ACTIVE_MS)
end

-- Answers the client's recent work and the time of its recent runs, as of now.
local function recent(client, now)
  local known = redis.call('HMGET', shares, of('work', client), of('used', client), of('at', client))
  local fade = math.exp((number(known[3], now) - now) / DEMAND_MS)
  return number(known[1], 0) * fade, number(known[2], 0) * fade
end

-- Counts work that came, or was withdrawn, and time that was used. What an inactive client does is not
-- counted: nobody would delete it.
local function count_for(client, now, work_ms, used_ms)
  if not client or not redis.call('ZSCORE', active, client) then return end
  local work, used = recent(client, now)
  redis.call('HSET', shares, of('work', client), string.format('%.9g', math.max(0, work + work_ms)),
    of('used', client), string.format('%.9g', used + used_ms), of('at', client), text(now))
end

-- The part of the workers that is a client's, with this weight where it has sent no job lately; nil while no
-- other client is active, and for no client.
local function part_of(client, now, weight)
  if not client then return nil end
  forget_inactive(now)
  local known = redis.call('HMGET', shares, 'weights', of('weight', client))
  local own = number(known[2], 0)
  local others = number(known[1], 0) - own
  if own == 0 then own = weight or 1 end -- without one, its job has waited for longer than it is active
  if others <= 0 then return nil end
  return own / (own + others)
end

-- The backlog of backlog.lua, with `runs` in words, and what the client has in the queue if others are
-- active: its part, the cheapest and narrowest costs of its jobs by slot, its demand, the workers it used.
-- `weight` as for part_of.
local function backlog_for(client, now, runs, weight)
  local answer, part = runs and backlog_with_runs(now) or backlog(now), part_of(client, now, weight)
  if not part then return answer end
  if not runs then answer[#answer + 1] = '' end
  local listed = redis.call('ZRANGE', slots, 0, SLOTS_LISTED)
  local _, cheapest = sums_of(of('cheapest', client), listed)
  local _, narrowest = sums_of(of('narrowest', client), listed)
  local work, used = recent(client, now)
  local _, _, time = demand_at(now)
  for _, value in ipairs({ string.format('%.9g', part), table.concat(cheapest, ' '),
    table.concat(narrowest, ' '), string.format('%.9g', work / (time + PRIOR_MS)),
    string.format('%.9g', used / DEMAND_MS) }) do
    answer[#answer + 1] = value
  end
  return answer
end

-- How long a client must wait until its own jobs, a new one among them, could begin in time on its part of
-- the workers alone; 0 or less if they can now: `over_share_ms` of scheduling.shares.
local function over_share_ms(client, now, start, cost, workers)
  local part = part_of(client, now)
  if not part then return 0 end
  local listed = redis.call('ZRANGE', slots, 0, SLOTS_LISTED)
  local _, costs = sums_of(of('cheapest', client), listed)
  local work, own = 0, part * math.max(workers, redis.call('ZCARD', ends))
  for i, slot in ipairs(listed) do
    if tonumber(slot) <= start then work = work + costs[i] / 1000 end
  end
  local excess = work - own * (start - now)
  for i, slot in ipairs(listed) do
    if tonumber(slot) > start and tonumber(costs[i]) > 0 then
      work = work + costs[i] / 1000
      local left = own * (slot + SLOT_MS - now) - work
      if left >= 0 then excess = math.max(excess, cost - left) end
    end
  end
  return excess / own
end

-- Whether a client has its part of the `limit` of waiting jobs.
local function has_part_of(limit, client, now)
  local part = part_of(client, now)
  local waiting = part and number(redis.call('HGET', sums, of('jobs', client)), 0)
  return waiting and waiting >= math.max(1, part * limit)
end
