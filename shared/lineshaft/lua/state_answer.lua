-- Keep a state that was computed for a question, for whoever asks the same before the next checkpoint.
-- FLAGS allow-oom
-- ARGV thread_id rev state
-- Never the snapshot: what a thread shows at rest is only what a finished run or a state write stored.
-- Returns 1, or 0 if the thread has a newer checkpoint by now, or is gone.
if redis.call('HGET', K.thread(thread_id), 'rev') ~= rev then return 0 end
redis.call('HSET', K.thread_answer(thread_id), 'rev', rev, 'state', state)
-- A minute: a client that polls asks more often, and one that does not need not be remembered.
redis.call('EXPIRE', K.thread_answer(thread_id), 60)
return 1
