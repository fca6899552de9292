-- Delete the record of a run that has ended.
-- FLAGS allow-oom
-- USES lib/answered lib/run_end
-- ARGV run_id thread_id request
-- `request` names the call, see lib/answered. Returns 1. Refuses: NOTFOUND, CONFLICT while the run is not over.
local run = redis.call('HMGET', K.run(run_id), 'thread', 'ended')
if run[1] ~= thread_id then
  if answered(request) then return 1 end
  return redis.error_reply('NOTFOUND Run with ID ' .. run_id .. ' not found')
end
if not run[2] then return redis.error_reply('CONFLICT The run is not over: cancel it first') end
forget_run(run_id, thread_id)
remember(request, 1)
return 1
