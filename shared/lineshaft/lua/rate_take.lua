-- Take tokens out of a bucket that fills again as time passes, if there are enough.
-- FLAGS allow-oom
-- USES lib/now
-- ARGV bucket capacity period_ms wanted
-- A bucket of `capacity` tokens is full again after `period_ms`. A call that is repeated when its answer got lost may take twice.
-- Returns 0 if they were taken, else the milliseconds until there are enough.
local key = K.rate(bucket)
capacity, period_ms, wanted = tonumber(capacity), tonumber(period_ms), tonumber(wanted)
local stored = redis.call('HMGET', key, 'tokens', 'at')
local passed = math.max(0, now - tonumber(stored[2] or now))
local tokens = math.min(capacity, tonumber(stored[1] or capacity) + passed * capacity / period_ms)
if tokens < wanted then return math.ceil((wanted - tokens) * period_ms / capacity) end
redis.call('HSET', key, 'tokens', string.format('%.6f', tokens - wanted), 'at', now)
redis.call('PEXPIRE', key, period_ms) -- it is full then, as one that is not there
return 0
