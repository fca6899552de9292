-- A stopping worker gives a run back: it waits at its old place, and this attempt is not counted.
-- FLAGS allow-oom
-- USES lib/now lib/fence lib/queue
-- ARGV run_id token delay
-- `delay` in ms: nobody claims it earlier, and it then waits behind those that were due meanwhile.
-- Returns 1. Refuses: FENCED.
if not holds(run_id, token) then return redis.error_reply('FENCED') end
redis.call('HINCRBY', K.run(run_id), 'attempt', -1)
requeue(run_id, tonumber(delay) > 0 and now + tonumber(delay) or nil)
return 1
