-- Cancelling a run.
-- USES lib/now lib/queue lib/run_end lib/tally

-- End the run at once if no worker has touched it, else flag it for the one that has it, or that claims it next. The
-- first action on a run stands. Returns 'ended', 'signalled', or nil if it is over or being cancelled already.
local function cancel_run(run_id, thread_id, action, reason, superseded)
  local run = redis.call('HMGET', K.run(run_id), 'status', 'cancel', 'worker', 'wrote')
  if run[1] ~= 'pending' and run[1] ~= 'running' or run[2] then return nil end
  tally('cancelled:' .. action .. (run[3] and ':running' or ':queued'))
  if superseded then redis.call('HSET', K.run(run_id), 'superseded', '1') end
  redis.call('HSET', K.run(run_id), 'cancel_reason', reason, 'cancelled', now)
  if run[1] == 'pending' and not run[4] then
    settle_held(run_id, thread_id, false)
    end_run(run_id, thread_id, 'interrupted', action == 'rollback', {})
    return 'ended'
  end
  -- It is running, or has been: its checkpoints are kept or taken back by its worker, or by the one that claims it next.
  redis.call('HSET', K.run(run_id), 'cancel', action, 'updated', now)
  if run[3] then
    redis.call('HSET', K.worker(run[3]), 'signal', '1')
    redis.call('PUBLISH', K.worker_channel(run[3]), run_id)
  else
    expedite(run_id, thread_id)
  end
  return 'signalled'
end
