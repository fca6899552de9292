-- Read one checkpoint with its values and pending writes, or the latest one if `checkpoint_id` is empty.
-- FLAGS no-writes
-- USES lib/checkpoint_rows lib/checkpoints
-- ARGV thread_id ns checkpoint_id
if checkpoint_id == '' then checkpoint_id = latest_checkpoint(thread_id, ns) end
return checkpoint_id and row(thread_id, ns, checkpoint_id, true)
