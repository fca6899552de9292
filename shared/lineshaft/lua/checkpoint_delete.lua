-- Delete all checkpoints of a thread.
-- FLAGS allow-oom
-- USES lib/checkpoints
-- ARGV thread_id
delete_checkpoints(thread_id)
bump_rev(thread_id)
return 1
