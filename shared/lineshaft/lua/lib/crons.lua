-- Crons, as scripts see them. What is to fire stands in one sorted set, with the time at which it does.

-- Put a cron where its turn will come, or take it away: one that is disabled, or whose end comes first, does not fire.
local function set_next(cron_id, next_at)
  local cron = redis.call('HMGET', K.cron(cron_id), 'ends', 'enabled')
  redis.call('HSET', K.cron(cron_id), 'next', next_at)
  if cron[2] == '1' and (cron[1] == '' or tonumber(next_at) <= tonumber(cron[1])) then
    redis.call('ZADD', K.crons_due(), next_at, cron_id)
  else
    redis.call('ZREM', K.crons_due(), cron_id)
  end
end

-- One scheduler must look at once whether to set its timer anew. (Whoever has fired a cron looks anyway.)
local function wake_scheduler()
  if redis.call('LLEN', K.wake('crons')) == 0 then redis.call('RPUSH', K.wake('crons'), '1') end
end

local function delete_cron(cron_id)
  local cron = redis.call('HMGET', K.cron(cron_id), 'thread', 'assistant')
  redis.call('UNLINK', K.cron(cron_id))
  redis.call('ZREM', K.crons(), cron_id)
  redis.call('ZREM', K.crons_due(), cron_id)
  if cron[1] then redis.call('SREM', K.crons_of_thread(cron[1]), cron_id) end
  if cron[2] then redis.call('SREM', K.crons_of_assistant(cron[2]), cron_id) end
end

-- Delete up to `limit` crons of a set: those of a thread, or of an assistant. Returns whether some are left.
local function delete_crons(set, limit)
  for _, cron_id in ipairs(redis.call('SRANDMEMBER', set, limit)) do
    delete_cron(cron_id)
    redis.call('SREM', set, cron_id) -- also one whose record is gone: it would be found here for ever
  end
  return redis.call('EXISTS', set) == 1
end
