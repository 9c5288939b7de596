-- Leases deliveries that are due, for so long as their kind needs: `most` at most, and of each host `per_host`
-- less those that the gateway is delivering (host and number, in pairs). Answers { id, token, record, the URL
-- that is a secret or '' } of each, and after how many ms the next one is due, '' if none is.
-- Computed keys: record, result-url, deliveries:host (the deliveries are found in it).
local lease_ms = { webhook = tonumber(ARGV[6]), result = tonumber(ARGV[7]) }
local most, per_host = tonumber(ARGV[8]), tonumber(ARGV[9])
local MOST_HOSTS = 256 -- looked at in one claim
local delivering = {}
for i = 10, #ARGV, 2 do delivering[ARGV[i]] = tonumber(ARGV[i + 1]) end
local now = now_ms()
local claims = {}

local function claim(id, host)
  local kind = read(id, 'delivery')[1] or ''
  if not lease_ms[kind] or read(id, kind .. '_host')[1] ~= host then
    return remove_delivery(id, host) -- lost or damaged
  end
  local record = redis.call('HGETALL', records .. id)
  local token = fence(id, 'delivery_token')
  set_due(id, kind, host, now + lease_ms[kind])
  delivering[host] = (delivering[host] or 0) + 1
  claims[#claims + 1] = { id, token, record, redis.call('GET', url_of(id)) or '' }
end

local function room_of(host)
  return math.min(most - #claims, per_host - (delivering[host] or 0))
end

local due = redis.call('ZRANGEBYSCORE', delivery_hosts, '-inf', text(now), 'LIMIT', 0, MOST_HOSTS)
for _, host in ipairs(due) do
  local room = room_of(host)
  if room > 0 then
    local ids = redis.call('ZRANGEBYSCORE', of_host(host), '-inf', text(now), 'LIMIT', 0, room)
    for _, id in ipairs(ids) do claim(id, host) end
  end
end

local next_ms = ''
local hosts = redis.call('ZRANGE', delivery_hosts, 0, MOST_HOSTS - 1, 'WITHSCORES')
for i = 1, #hosts, 2 do
  if per_host > (delivering[hosts[i]] or 0) then
    next_ms = text(math.max(0, hosts[i + 1] - now))
    break
  end
end
-- What is left is for other gateways. One that could take nothing wakes nobody.
if #claims > 0 and next_ms ~= '' and tonumber(next_ms) == 0 then wake_courier() end
return { claims, next_ms }
