-- Put a message into a thread's inbox.
-- USES lib/answered lib/index lib/now
-- ARGV thread_id message most request
-- `request` names the call: made again after a lost answer it adds nothing, also when a run has taken the message by then.
-- `most` is how many bytes may wait. Returns 1. Refuses: NOTFOUND, TOOMANY.
local MOST_MESSAGES = 1000 -- the run that takes them takes them all as its input
if redis.call('EXISTS', K.thread(thread_id)) == 0 then
  return redis.error_reply('NOTFOUND Thread with ID ' .. thread_id .. ' not found')
end
if answered(request) then return 1 end
-- SAMPLES 0: exact. It looks at each of the list's nodes, of which there are few.
if (redis.call('MEMORY', 'USAGE', K.thread_inbox(thread_id), 'SAMPLES', 0) or 0) + #message > tonumber(most) then
  return redis.error_reply('TOOMANY Messages of ' .. most .. ' bytes wait on this thread already, the limit: start a run that takes them.')
end
if redis.call('LLEN', K.thread_inbox(thread_id)) >= MOST_MESSAGES then
  return redis.error_reply('TOOMANY ' .. MOST_MESSAGES .. ' messages wait on this thread already, the limit: start a run that takes them.')
end
redis.call('RPUSH', K.thread_inbox(thread_id), message)
touch_thread(thread_id, now)
remember(request, 1)
return 1
