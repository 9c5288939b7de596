-- Put after clients.lua: batches. A batch has a record beside those of jobs, named `batch-` and its id, with
-- the number of its sources in each state; a list of its sources, each the state, a space and JSON; and, by
-- the index of a source that has not ended, the URL to which its picture is put. The steps for batches get
-- three more keys: these `urls` of one of them; `batches`, all that have not ended by when their lease ends;
-- and the list of one of them. A record with a `lease_token` is worked off by the gateway that knows the token.

local function move_item(id, items, urls, index, before, element)
  local after = string.match(element, '^%a+')
  redis.call('LSET', items, index, element)
  redis.call('HINCRBY', records .. id, before, -1)
  redis.call('HINCRBY', records .. id, after, 1)
  if after ~= 'waiting' and after ~= 'running' then
    redis.call('HINCRBY', counts, 'batch_sources_' .. after, 1)
    redis.call('HDEL', urls, index)
  end
end

-- Ends a batch with its last source, and answers whether it has ended.
local function end_batch(batches, id, now)
  local left = read(id, 'waiting', 'running', 'cancelling')
  if number(left[1], 0) + number(left[2], 0) > 0 then return false end
  local status = left[3] and 'cancelled' or 'finished'
  redis.call('HDEL', records .. id, 'lease_token')
  redis.call('HSET', records .. id, 'status', status, 'finished_ms', text(now))
  redis.call('ZREM', batches, id)
  if not announce(id, now, status) then expire_record(id) end
  publish_end(id, status, '')
  return true
end
