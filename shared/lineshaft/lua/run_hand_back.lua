-- A stopping worker gives a run back: it waits at its old place, and this attempt is not counted.
-- FLAGS allow-oom
-- USES lib/attempts lib/fence lib/queue
-- ARGV run_id token
-- Returns 1. Refuses: FENCED.
if not holds(run_id, token) then return redis.error_reply('FENCED') end
close_attempt(run_id, 'handed back')
give_back(run_id)
return 1
