-- Take a thread's active slot for a change of its state from outside a run.
-- USES lib/index
-- ARGV lock_id thread_id worker query_id
-- The lock is a run record with a token and nothing else: writes under it are fenced like a run's, and if the worker
-- dies the reaper opens it.
-- Returns the token. Refuses: NOTFOUND (thread), CONFLICT (a run is active or waits; the asker has gone), FENCED
-- (the worker's lease is gone).
if redis.call('EXISTS', K.query(query_id)) == 0 then return redis.error_reply('CONFLICT Nobody waits for this change any more') end
local thread = K.thread(thread_id)
if redis.call('HEXISTS', thread, 'created') == 0 then return redis.error_reply('NOTFOUND Thread with ID ' .. thread_id .. ' not found') end
local lock = K.run(lock_id)
local token = redis.call('HGET', lock, 'token')
if token then return token end
-- A worker that was taken for dead, and wakes up here, has been reaped: nobody would open its lock.
if not redis.call('ZSCORE', K.workers(), worker) then return redis.error_reply('FENCED this worker has lost its lease') end
if redis.call('HEXISTS', thread, 'active') == 1 or redis.call('ZCARD', K.thread_waiting(thread_id)) > 0 then
  return redis.error_reply('CONFLICT Thread is busy with a running job. Cannot update the state.')
end
token = '1.' .. worker
redis.call('HSET', lock, 'thread', thread_id, 'token', token, 'worker', worker, 'lock', '1')
redis.call('HSET', thread, 'active', lock_id)
redis.call('SADD', K.worker_runs(worker), lock_id)
set_thread_status(thread_id)
return token
