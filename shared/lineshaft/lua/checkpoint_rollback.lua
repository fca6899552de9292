-- Take back what the run `target` wrote, up to `limit` checkpoints per call. Returns 1 while something is left: call again.
-- FLAGS allow-oom
-- USES lib/fence lib/checkpoints lib/rollback
-- ARGV run_id token target limit
-- Without a token it is not fenced.
if token ~= '' and not holds(run_id, token) then return redis.error_reply('FENCED This run has been taken over') end
return roll_back(target, tonumber(limit))
