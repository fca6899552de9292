-- End a running run: its last events, its status, the thread's new snapshot, and the next run's turn.
-- FLAGS allow-oom
-- USES lib/now lib/fence lib/index lib/queue lib/log lib/checkpoints lib/thread_records lib/run_end
-- ARGV run_id token status error handled rev thread_status state interrupts entries...
-- `handled` is the cancel action that the worker has carried out ('' for none). `state` '' leaves the snapshot alone,
-- `thread_status` '' the thread's status.
-- Returns 'ok', or the cancel action ('interrupt', 'rollback') that came in meanwhile and must be carried out first.
-- Refuses: FENCED.
local run = redis.call('HMGET', K.run(run_id), 'thread', 'cancel', 'wrote', 'ended_by')
-- The same call again after a lost answer.
if run[4] and run[4] == token then return 'ok' end
if not holds(run_id, token) then return redis.error_reply('FENCED') end
if run[2] and run[2] ~= handled then return run[2] end

local thread_id = run[1]
local thread, snapshot = K.thread(thread_id), K.thread_snapshot(thread_id)
local rolled_back = handled == 'rollback'
if state ~= '' then
  redis.call('HSET', snapshot, 'rev', rev, 'state', state, 'interrupts', interrupts)
end
if thread_status ~= '' then redis.call('HSET', thread, 'status', thread_status) end
touch_thread_state(thread_id, now)
if error ~= '' then
  redis.call('HSET', snapshot, 'error', error)
  redis.call('HSET', K.run(run_id), 'error', error)
else
  redis.call('HDEL', snapshot, 'error')
end
settle_held(run_id, thread_id, run[3] == '1' and not rolled_back)
end_run(run_id, thread_id, status, rolled_back, entries)
return 'ok'
