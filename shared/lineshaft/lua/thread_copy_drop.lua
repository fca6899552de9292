-- Give up a copy of a thread that is not finished, unless a piece of it came within the last `age` ms.
-- FLAGS allow-oom
-- USES lib/now
-- ARGV target age
-- Returns 1 if there is something of it to be deleted (thread_dispose.lua), else 0.
local last = redis.call('ZSCORE', K.threads_unfinished(), target)
if last and tonumber(last) + tonumber(age) <= now then
  redis.call('ZREM', K.threads_unfinished(), target)
  if redis.call('EXISTS', K.thread(target)) == 0 then redis.call('SADD', K.threads_disposed(), target) end
end
return redis.call('SISMEMBER', K.threads_disposed(), target)
