-- Keep one slice of a large value, which is invisible until a header or write names it.
-- FLAGS allow-oom
-- ARGV thread_id value_id number slice
local key = K.checkpoint_large(thread_id, value_id)
redis.call('HSET', key, number, slice)
-- Not if it is named already and this is the repetition of a call whose reply was lost.
if redis.call('SISMEMBER', K.checkpoint_large_ids(thread_id), value_id) == 0 then
  redis.call('EXPIRE', key, 3600) -- an hour: far more than a writer waits for a Redis that is away before its run is lost
end
return 1
