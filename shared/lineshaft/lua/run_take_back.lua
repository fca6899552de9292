-- A worker holds a run that it does not execute: the answer to its claim got lost, or the run's end failed in the worker.
-- FLAGS allow-oom
-- USES lib/fence lib/reap
-- ARGV run_id token max_crashes
-- It counts like a crash: a run whose end always fails must not go round for ever.
-- Returns 1. Refuses: FENCED.
if not holds(run_id, token) then return redis.error_reply('FENCED') end
close_attempt(run_id, 'could not be ended')
take_back(run_id, redis.call('HGET', K.run(run_id), 'thread'), max_crashes)
return 1
