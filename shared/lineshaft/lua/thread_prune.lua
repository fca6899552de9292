-- Remove up to `limit` checkpoints of one namespace of a thread at rest, but never the latest.
-- FLAGS allow-oom
-- CALLS checkpoint_prune
-- ARGV thread_id ns limit
-- Not beside a run: it may have to go back to what was before it. Returns 1 while something is left: call again.
-- Refuses: NOTFOUND, CONFLICT (a run is active or waits; later states are built upon these).
local thread = redis.call('HMGET', K.thread(thread_id), 'created', 'active', 'rev')
if not thread[1] then return redis.error_reply('NOTFOUND Thread with ID ' .. thread_id .. ' not found') end
if thread[2] or redis.call('ZCARD', K.thread_waiting(thread_id)) > 0 then
  return redis.error_reply('CONFLICT Thread ' .. thread_id .. ' is busy: its older checkpoints may still be needed')
end
local left = checkpoint_prune(thread_id, ns, limit)
-- The latest state is what it was, so what was stored of it is still right.
if left == 1 and redis.call('HGET', K.thread_snapshot(thread_id), 'rev') == thread[3] then
  redis.call('HSET', K.thread_snapshot(thread_id), 'rev', redis.call('HGET', K.thread(thread_id), 'rev'))
end
return left
