-- Begin a copy of a thread. Returns its mark, which the end of it compares, and the stored state of the original ('' if none).
-- USES lib/memory lib/now lib/thread_copies
-- ARGV source target
-- Refuses: CONFLICT (no such thread), FULL (memory).
local mark = copy_mark(source)
if mark == '' then return redis.error_reply('CONFLICT Thread with ID ' .. source .. ' not found') end
local full = refusal_when_full()
if full then return redis.error_reply(full) end
redis.call('ZADD', K.threads_unfinished(), now, target)
return { mark, redis.call('HGET', K.thread_snapshot(source), 'state') or '' }
