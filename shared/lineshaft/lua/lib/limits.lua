-- How many runs of one tenant, or of one graph, may run at once (`executor.limits`), where that is limited.
--
-- A claim notes a run that it counts under each of its causes (`tenant <name>`, `graph <id>`): in `K.holders(cause)`, and in
-- the run's field `slots`. A due run for which there is no slot is parked: out of the line, so that nobody looks at it again
-- and again, into `K.parked(queue, cause)`. A slot that comes free calls the first of them back into the line of each queue.
-- Such a run bears the call (field `bearer`, the cause): when it goes without using it, it passes it on. So while some are
-- parked and a slot is free, one stands in the line.
-- USES lib/line lib/now

-- The limits as a claim is told them: a line for each, `tenant` or `graph <id>`, tab, how many may run at once.
local function read_limits(text)
  local limits = {}
  for name, most in string.gmatch(text, '([^\n\t]+)\t(%d+)') do limits[name] = tonumber(most) end
  return limits
end

-- Whether one more run may run under a cause.
local function has_slot(limits, cause)
  local most = limits[string.match(cause, '^tenant ') and 'tenant' or cause]
  return not most or redis.call('SCARD', K.holders(cause)) < most
end

-- The parked run whose turn it would be in the line, and its place.
local function first_parked(queue, cause)
  local best, place, best_since
  local from = '-inf'
  while true do
    local found = redis.call('ZRANGEBYSCORE', K.parked(queue, cause), from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if not found[1] then return best, place end
    local band = band_at(found[2])
    local run = redis.call('HMGET', K.run(found[1]), 'score', 'not_before')
    local since = since_of(queue, band, run[1] or now, run[2])
    if not best or since < best_since then best, place, best_since = found[1], found[2], since end
    from = end_of(band)
  end
end

local function call_back_parked(queue, cause)
  local run_id, place = first_parked(queue, cause)
  if not run_id then return end
  redis.call('ZREM', K.parked(queue, cause), run_id)
  redis.call('HDEL', K.run(run_id), 'parked')
  redis.call('HSET', K.run(run_id), 'bearer', cause)
  redis.call('ZADD', K.line(queue), place, run_id)
  wake(queue)
end

local function park(run_id, queue, place, cause, bearer)
  redis.call('ZREM', K.line(queue), run_id)
  redis.call('ZADD', K.parked(queue, cause), place, run_id)
  redis.call('HSET', K.run(run_id), 'parked', cause)
  redis.call('SADD', K.limited(), cause)
  redis.call('HSETNX', K.queues(), queue, 'open') -- where a free slot looks for who is parked
  if bearer then
    redis.call('HDEL', K.run(run_id), 'bearer')
    if bearer ~= cause then call_back_parked(queue, bearer) end
  end
end

-- Free what a run was counted under, in all queues.
local function free_slots(run_id, slots)
  local queues = redis.call('HKEYS', K.queues())
  for cause in string.gmatch(slots, '[^\n]+') do
    redis.call('SREM', K.holders(cause), run_id)
    for _, queue in ipairs(queues) do call_back_parked(queue, cause) end
  end
  redis.call('HDEL', K.run(run_id), 'slots')
end
