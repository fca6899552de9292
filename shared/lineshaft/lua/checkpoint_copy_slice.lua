-- Copy one slice of a large value to another thread.
-- ARGV source target value_id number
-- Returns 1, or 0 if the source has it no more.
local slice = redis.call('HGET', K.checkpoint_large(source, value_id), number)
if not slice then return 0 end
redis.call('HSET', K.checkpoint_large(target, value_id), number, slice)
redis.call('SADD', K.checkpoint_large_ids(target), value_id) -- so that it goes with the thread, whatever comes of the copy
return 1
