-- A stopping worker gives a run back: it waits at its old place, and this attempt is not counted.
-- FLAGS allow-oom
-- USES lib/now lib/fence lib/queue
-- ARGV run_id token delay
-- `delay` in ms: nobody claims it earlier, and it then waits behind those that were due meanwhile. With a delay it is
-- because this worker lacks the run's graph; `lacked` says since when nobody has had it.
-- Returns 1. Refuses: FENCED.
if not holds(run_id, token) then return redis.error_reply('FENCED') end
redis.call('HINCRBY', K.run(run_id), 'attempt', -1)
if tonumber(delay) > 0 then
  redis.call('HSETNX', K.run(run_id), 'lacked', now)
  requeue(run_id, now + tonumber(delay))
else
  requeue(run_id)
end
return 1
