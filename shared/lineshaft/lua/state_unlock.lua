-- End a change of a thread's state: store the snapshot, and give the thread to the next run.
-- FLAGS allow-oom
-- USES lib/answered lib/fence lib/index lib/log lib/now lib/queue lib/run_index lib/thread_records
-- ARGV lock_id token rev thread_status state interrupts forget events_ttl event...
-- `state` '' leaves the snapshot alone. `forget` is a run whose record goes with what it did, or ''. `event` is what streams
-- of the thread are told, nothing or an entry as in run_append.lua, for `events_ttl` ms.
-- Returns 1. Refuses: FENCED.
if not holds(lock_id, token) then
  if answered(lock_id) == token then return 1 end -- made again after a lost answer
  return redis.error_reply('FENCED')
end
local lock = redis.call('HMGET', K.run(lock_id), 'thread', 'worker')
local thread_id = lock[1]
if state ~= '' then
  store_snapshot(thread_id, rev, state, interrupts)
  redis.call('HDEL', K.thread_snapshot(thread_id), 'error')
  redis.call('HSET', K.thread(thread_id), 'status', thread_status)
  touch_thread(thread_id, now)
  touch_thread_state(thread_id, now)
end
if forget ~= '' then
  unindex_run(forget)
  redis.call('UNLINK', K.run(forget), K.run_input(forget), K.run_checkpoints(forget), K.run_kept_writes(forget))
  redis.call('ZREM', K.thread_runs(thread_id), forget)
end
-- Under the lock's id, which is no run's: readers of one run pass it by.
if #event > 0 then append(thread_id, lock_id, 0, event) end
unlock(lock_id)
if #event > 0 then expire_log(thread_id, lock_id, tonumber(events_ttl)) end
set_thread_status(thread_id)
remember(lock_id, token)
return 1
