-- Delete a cron. Runs that it has made go on.
-- FLAGS allow-oom
-- USES lib/answered lib/crons
-- ARGV cron_id request
-- `request` names the call, see lib/answered. Returns 1. Refuses: NOTFOUND.
if redis.call('EXISTS', K.cron(cron_id)) == 0 then
  if answered(request) then return 1 end
  return redis.error_reply('NOTFOUND Cron with ID ' .. cron_id .. ' not found')
end
delete_cron(cron_id)
remember(request, 1)
return 1
