-- Copy one slice of a large value to a thread that is being made.
-- USES lib/thread_copies
-- CALLS checkpoint_copy_slice
-- ARGV source target value_id number
-- Returns 1, or 0 if the original has it no more. Refuses: CONFLICT (the copy was given up).
if not copy_goes_on(target) then return redis.error_reply('CONFLICT The copy took too long, and was given up') end
return checkpoint_copy_slice(source, target, value_id, number)
