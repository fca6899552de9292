-- Whether a thread's lifetime is over. If not, or if it is busy, it is looked at again later.
-- FLAGS allow-oom
-- USES lib/now
-- ARGV thread_id
-- Returns the strategy ('delete', 'keep_latest') of a thread whose time has come, else ''.
local thread = redis.call('HMGET', K.thread(thread_id), 'ttl_minutes', 'ttl_strategy', 'updated', 'active')
if not thread[1] then
  redis.call('ZREM', K.threads_by_expiry(), thread_id)
  return ''
end
local lifetime = tonumber(thread[1]) * 60000
local is_busy = thread[4] or redis.call('EXISTS', K.thread_waiting(thread_id)) == 1
local ends = tonumber(thread[3]) + lifetime
if ends > now or is_busy then
  -- A busy thread changes when its run ends: its time begins anew.
  redis.call('ZADD', K.threads_by_expiry(), math.max(ends, now + 60000), thread_id)
  return ''
end
if thread[2] ~= 'delete' then
  -- Pruned now, and again after as long: there may be more by then.
  redis.call('ZADD', K.threads_by_expiry(), now + math.max(lifetime, 60000), thread_id)
end
return thread[2]
