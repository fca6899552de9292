-- Delete a thread, a bounded piece per call. Returns 1 while something is left: call again.
-- FLAGS allow-oom
-- USES lib/now lib/index lib/queue lib/log lib/checkpoints lib/thread_records lib/run_end lib/thread_end
-- ARGV thread_id limit
if redis.call('EXISTS', K.thread(thread_id)) == 0 then
  return redis.error_reply('NOTFOUND Thread with ID ' .. thread_id .. ' not found')
end
if delete_idle_runs(thread_id, tonumber(limit)) then return 1 end
-- The active slot may be held by a change of the state, which is no run (state_lock.lua).
local active = redis.call('HGET', K.thread(thread_id), 'active')
if active then delete_run(thread_id, active) end
for _, run_id in ipairs(redis.call('ZRANGE', K.thread_runs(thread_id), 0, -1)) do delete_run(thread_id, run_id) end
delete_thread_records(thread_id)
redis.call('UNLINK', K.thread_events(thread_id))
-- Readers of its streams look, and see that the runs are gone.
redis.call('PUBLISH', K.thread_bell(thread_id), '')
return 0
