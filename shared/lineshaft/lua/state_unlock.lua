-- End a change of a thread's state: store the snapshot, and give the thread to the next run.
-- FLAGS allow-oom
-- USES lib/now lib/fence lib/index lib/queue
-- ARGV lock_id token rev thread_status state interrupts forget
-- `state` '' leaves the snapshot alone. `forget` is a run whose record goes with what it did, or ''.
-- Returns 1. Refuses: FENCED.
if not holds(lock_id, token) then return redis.error_reply('FENCED') end
local lock = redis.call('HMGET', K.run(lock_id), 'thread', 'worker')
local thread_id = lock[1]
if state ~= '' then
  redis.call('HSET', K.thread_snapshot(thread_id), 'rev', rev, 'state', state, 'interrupts', interrupts)
  redis.call('HDEL', K.thread_snapshot(thread_id), 'error')
  redis.call('HSET', K.thread(thread_id), 'status', thread_status)
  touch_thread(thread_id, now)
  touch_thread_state(thread_id, now)
end
if forget ~= '' then
  redis.call('UNLINK', K.run(forget), K.run_input(forget), K.run_checkpoints(forget), K.run_kept_writes(forget))
  redis.call('ZREM', K.thread_runs(thread_id), forget)
end
unlock(lock_id)
set_thread_status(thread_id)
return 1
