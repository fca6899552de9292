-- Remove values of a thread's checkpoints that no checkpoint names.
-- FLAGS allow-oom
-- USES lib/checkpoints
-- ARGV thread_id ns names...
-- `names` are values that were there before the caller read the names in all headers, and that it did not find among
-- them: a checkpoint inherits values only from its parent, so none names them since.
for _, name in ipairs(names) do
  drop_large(thread_id, K.checkpoint_blobs(thread_id, ns), name)
  redis.call('HDEL', K.checkpoint_blobs(thread_id, ns), name)
end
return #names
