-- Take back what the run `target` wrote. Returns 1 if that is more than `limit` checkpoints: then name some.
-- FLAGS allow-oom
-- USES lib/fence lib/rollback
-- ARGV run_id token target limit members...
-- `members` of K.run_checkpoints, newest first, are removed (returns 1). Without any, all that is left is taken back.
-- Without a token it is not fenced.
if token ~= '' and not holds(run_id, token) then return redis.error_reply('FENCED This run has been taken over') end
-- Taking back what another run did is a change of the thread, which its asker must not take for undone (query_give_up).
if token ~= '' and target ~= run_id then redis.call('HSET', K.run(run_id), 'wrote', 1) end
if #members == 0 then return roll_back(target, tonumber(limit)) end
local own = {}
for _, member in ipairs(members) do
  -- Not those that this call has removed before, when its answer got lost.
  if redis.call('SISMEMBER', K.run_checkpoints(target), member) == 1 then own[#own + 1] = member end
end
return remove_own(target, own) or 1
