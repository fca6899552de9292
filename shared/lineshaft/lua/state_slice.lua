-- Keep one slice of a thread's state, which is invisible until the thread's snapshot names it.
-- FLAGS allow-oom
-- ARGV thread_id state_id number slice
-- Slices come in order, from number 0 on; sent again, they begin there again.
local key = K.thread_state(thread_id, state_id)
-- Named already: then this is the repetition of a call whose answer was lost.
local snapshot = K.thread_snapshot(thread_id)
if redis.call('HSTRLEN', snapshot, 'state') <= 64 then
  local named = redis.call('HGET', snapshot, 'state')
  if named and string.match(named, '^s([^.]*)') == state_id then return 1 end
end
if number == '0' then redis.call('DEL', key) end
redis.call('RPUSH', key, slice)
redis.call('EXPIRE', key, 3600) -- an hour: far more than a writer waits for a Redis that is away before its run is lost
return 1
