-- Create a cron.
-- USES lib/crons lib/memory lib/now
-- ARGV cron_id thread_id assistant_id head payload next_at ends enabled max_crons
-- `thread_id` is '' for one whose runs have threads of their own. `next_at` and `ends` (or '') in ms; `max_crons` on a thread.
-- Returns its created_at in ms. Refuses: NOTFOUND (thread, assistant), TOOMANY (crons on the thread), FULL (memory).
local cron = K.cron(cron_id)
-- The same call again after a lost answer.
if redis.call('EXISTS', cron) == 1 then return tonumber(redis.call('HGET', cron, 'created')) end
local full = refusal_when_full()
if full then return redis.error_reply(full) end
if redis.call('HEXISTS', K.assistant(assistant_id), 'doc') == 0 then
  return redis.error_reply('NOTFOUND Thread or assistant not found.')
end
if thread_id ~= '' then
  if redis.call('HEXISTS', K.thread(thread_id), 'created') == 0 then
    return redis.error_reply('NOTFOUND Thread or assistant not found.')
  end
  if redis.call('SCARD', K.crons_of_thread(thread_id)) >= tonumber(max_crons) then
    return redis.error_reply('TOOMANY There are ' .. max_crons .. ' crons on this thread already (limit ' .. max_crons .. ').')
  end
  redis.call('SADD', K.crons_of_thread(thread_id), cron_id)
end
-- No two carry the same time, so that searches show them in their order.
local last = redis.call('ZRANGE', K.crons(), -1, -1, 'WITHSCORES')
local time = string.format('%.0f', math.max(now, tonumber(last[2] or 0) + 1))
redis.call('HSET', cron, 'head', head, 'payload', payload, 'version', 1, 'created', time, 'updated', time,
  'thread', thread_id, 'assistant', assistant_id, 'ends', ends, 'enabled', enabled)
redis.call('ZADD', K.crons(), time, cron_id)
redis.call('SADD', K.crons_of_assistant(assistant_id), cron_id)
set_next(cron_id, next_at)
wake_scheduler()
return tonumber(time)
