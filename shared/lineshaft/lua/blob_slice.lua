-- Keep one slice of a large value (an event, an answer, the content of a call), which is invisible until something names it.
-- FLAGS allow-oom
-- ARGV blob_id number ttl slice
-- Slices come in order, from number 0 on; sent again, they begin there again. `ttl` in seconds.
local key = K.blob(blob_id)
if number == '0' then redis.call('DEL', key) end
redis.call('RPUSH', key, slice)
redis.call('EXPIRE', key, ttl)
return 1
