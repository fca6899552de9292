-- Cancel a run: at once if no worker has touched it, else by a flag that its worker obeys.
-- FLAGS allow-oom
-- USES lib/now lib/index lib/queue lib/log lib/run_end
-- ARGV run_id thread_id action reason
-- The first action stands. Returns 'ended' or 'signalled'. Refuses: NOTFOUND (unknown, or ended already).
local run = redis.call('HMGET', K.run(run_id), 'thread', 'status', 'cancel', 'worker', 'wrote')
if run[1] ~= thread_id or run[3] == 'rollback' then return redis.error_reply('NOTFOUND No runs found to cancel.') end
if run[2] ~= 'pending' and run[2] ~= 'running' or run[3] then
  return redis.error_reply('NOTFOUND No matching runs to cancel. The run is not pending or running.')
end
if run[2] == 'pending' and not run[5] then
  settle_held(run_id, thread_id, false)
  end_run(run_id, thread_id, 'interrupted', action == 'rollback', {})
  return 'ended'
end
-- It is running, or has been: its checkpoints are kept or taken back by its worker, or by the one that claims it next.
redis.call('HSET', K.run(run_id), 'cancel', action, 'cancel_reason', reason, 'updated', now)
if run[4] then
  redis.call('HSET', K.worker(run[4]), 'signal', '1')
  redis.call('PUBLISH', K.worker_channel(run[4]), run_id)
end
return 'signalled'
