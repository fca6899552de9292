-- Put a message into a thread's inbox.
-- USES lib/now lib/index
-- ARGV thread_id message
if redis.call('EXISTS', K.thread(thread_id)) == 0 then
  return redis.error_reply('NOTFOUND Thread with ID ' .. thread_id .. ' not found')
end
-- The message carries its id: one that is here already was put by this very call, whose answer got lost.
if redis.call('LPOS', K.thread_inbox(thread_id), message) then return 0 end
redis.call('RPUSH', K.thread_inbox(thread_id), message)
touch_thread(thread_id, now)
return 1
