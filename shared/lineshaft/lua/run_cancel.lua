-- Cancel a run: at once if no worker has touched it, else by a flag that its worker obeys.
-- FLAGS allow-oom
-- USES lib/answered lib/cancel
-- ARGV run_id thread_id action reason only request
-- `only` 'pending' or 'running' spares a run that is not (any more); '' means either. The first action stands. Returns 'ended' or 'signalled'. Refuses: NOTFOUND (unknown, or ended already).
-- `request` names the call: made again after a lost answer, it gets the same one.
local run = redis.call('HMGET', K.run(run_id), 'thread', 'cancel', 'status')
if run[1] ~= thread_id or run[2] == 'rollback' then
  return answered(request) or redis.error_reply('NOTFOUND No runs found to cancel.')
end
local wanted = only == '' or only == run[3]
local answer = wanted and cancel_run(run_id, thread_id, action, reason)
if answer then
  remember(request, answer)
  return answer
end
return answered(request) or redis.error_reply('NOTFOUND No matching runs to cancel. The run is not pending or running.')
