-- Keep one slice of the input of a run that is about to be created in the same pipeline.
-- USES lib/memory
-- ARGV run_id number slice
-- Slices come in order, from number 0 on; sent again, they begin there again.
-- Refuses: FULL (memory). Else clients that try large inputs again and again would use up what runs under way need.
local full = refusal_when_full()
if full then return redis.error_reply(full) end
local key = K.run_input(run_id)
if number == '0' then redis.call('DEL', key) end
redis.call('RPUSH', key, slice)
redis.call('EXPIRE', key, 60) -- ample for the same pipeline's script to take it over; refused, it goes by itself
return 1
