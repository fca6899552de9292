-- Delete about `limit` checkpoints of a thread that is gone. Returns 1 while something is left: call again.
-- FLAGS allow-oom
-- USES lib/checkpoints
-- ARGV thread_id limit
if redis.call('SISMEMBER', K.threads_disposed(), thread_id) == 0 then return 0 end
if delete_checkpoints(thread_id, tonumber(limit)) then return 1 end
redis.call('SREM', K.threads_disposed(), thread_id)
return 0
