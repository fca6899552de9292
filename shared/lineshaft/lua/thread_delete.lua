-- Delete a thread, a bounded piece per call. Returns 1 while something is left: call again. 2: the thread is gone, but for
-- checkpoints that nobody finds any more (thread_dispose.lua).
-- FLAGS allow-oom
-- USES lib/answered lib/thread_end lib/thread_records
-- ARGV thread_id limit request
-- `request` names the deletion, see lib/answered.
if redis.call('EXISTS', K.thread(thread_id)) == 0 then
  local answer = answered(request)
  if answer then return tonumber(answer) end
  return redis.error_reply('NOTFOUND Thread with ID ' .. thread_id .. ' not found')
end
if delete_idle_runs(thread_id, tonumber(limit)) then return 1 end
-- The active slot may be held by a change of the state, which is no run (state_lock.lua).
local active = redis.call('HGET', K.thread(thread_id), 'active')
if active then delete_run(thread_id, active) end
for _, run_id in ipairs(redis.call('ZRANGE', K.thread_runs(thread_id), 0, -1)) do delete_run(thread_id, run_id) end
local answer = delete_thread_records(thread_id) and 2 or 0
redis.call('UNLINK', K.thread_events(thread_id))
-- Readers of its streams look, and see that the runs are gone.
redis.call('PUBLISH', K.thread_bell(thread_id), '')
remember(request, answer)
return answer
