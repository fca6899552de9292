-- Delete an assistant with its versions and its crons, of these up to `limit` per call. Runs that were made of it have a copy
-- of theirs. Returns 1 while something is left: call again.
-- FLAGS allow-oom
-- USES lib/answered lib/crons
-- ARGV assistant_id limit request
-- `request` names the deletion, see lib/answered.
if redis.call('EXISTS', K.assistant(assistant_id)) == 0 then
  if answered(request) then return 0 end
  return redis.error_reply('NOTFOUND Assistant ' .. assistant_id .. ' not found')
end
if delete_crons(K.crons_of_assistant(assistant_id), limit) then return 1 end
redis.call('UNLINK', K.assistant(assistant_id), K.assistant_versions(assistant_id))
redis.call('ZREM', K.assistants(), assistant_id)
remember(request, 0)
return 0
