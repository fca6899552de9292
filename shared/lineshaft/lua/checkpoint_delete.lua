-- Delete the checkpoints of a thread, about `limit` per call, newest first. Returns 1 while something is left: call again.
-- FLAGS allow-oom
-- USES lib/checkpoints
-- ARGV thread_id limit
local is_left = delete_checkpoints(thread_id, tonumber(limit))
bump_rev(thread_id)
return is_left and 1 or 0
