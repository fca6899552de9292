-- End a running run: its last events, its status, the thread's new snapshot, and the next run's turn.
-- FLAGS allow-oom
-- USES lib/answered lib/fence lib/index lib/now lib/run_end lib/thread_records
-- ARGV run_id token status error failure error_class handled rev thread_status state interrupts content entries...
-- `error` is told to callers, `failure` is what operators find in the run's record (both JSON, '' for none), and by
-- `error_class` they find the run.
-- `handled` is the cancel action that the worker has carried out ('' for none). `state` '' leaves the snapshot alone; a
-- large one has been written before, see threads/state.py.
-- `thread_status` '' the thread's status. `content` is what the run's webhook gets, see lib/run_end ('' for a run without).
-- Returns 'ok', or the cancel action ('interrupt', 'rollback') that must be carried out first: it came in meanwhile, or
-- something of the run did that was to be taken back.
-- Refuses: FENCED.
local run = redis.call('HMGET', K.run(run_id), 'thread', 'cancel', 'ended_by')
-- The same call again after a lost answer.
if run[3] and run[3] == token then return 'ok' end
local call = run_id .. ' ' .. token
if not run[1] and answered(call) then return 'ok' end -- its record went with the rollback
if not holds(run_id, token) then return redis.error_reply('FENCED') end
if run[2] and run[2] ~= handled then return run[2] end

-- A checkpoint that was on its way while the run was taken back would stay behind: it has to be taken back, too. None
-- comes after this script.
if handled == 'rollback' and redis.call('EXISTS', K.run_checkpoints(run_id), K.run_kept_writes(run_id)) > 0 then
  return 'rollback'
end

local thread_id = run[1]
local thread, snapshot = K.thread(thread_id), K.thread_snapshot(thread_id)
local rolled_back = handled == 'rollback'
if state ~= '' then store_snapshot(thread_id, rev, state, interrupts) end
if thread_status ~= '' then redis.call('HSET', thread, 'status', thread_status) end
touch_thread_state(thread_id, now)
if failure ~= '' then redis.call('HSET', K.run(run_id), 'failure', failure) end
if error_class ~= '' then redis.call('HSET', K.run(run_id), 'error_class', error_class) end
if #entries > 0 then redis.call('HSETNX', K.run(run_id), 'first_event', now) end
if error ~= '' then
  redis.call('HSET', snapshot, 'error', error)
  redis.call('HSET', K.run(run_id), 'error', error)
else
  redis.call('HDEL', snapshot, 'error')
end
settle_held(run_id, thread_id, redis.call('EXISTS', K.run_checkpoints(run_id)) == 1 and not rolled_back)
call_back(run_id, thread_id, rolled_back and 'rollback' or status, error, content)
end_run(run_id, thread_id, status, rolled_back, entries, thread_status == 'interrupted')
if rolled_back then remember(call, 'ok') end
return 'ok'
