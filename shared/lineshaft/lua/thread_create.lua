-- Create a thread. Returns its created_at, or 0 if it exists and that is accepted, or -1 if this very call has made it.
-- USES lib/index lib/now lib/thread
-- ARGV thread_id metadata leaves graph_id ttl_minutes ttl_strategy if_exists nonce
--
-- `nonce` makes the call repeatable: whoever finds a thread with its own nonce has created it. A thread whose id we made
-- needs none ('').
if redis.call('EXISTS', K.thread(thread_id)) == 1 then
  if nonce ~= '' and redis.call('HGET', K.thread(thread_id), 'nonce') == nonce then return -1 end
  if if_exists == 'do_nothing' then return 0 end
  return redis.error_reply('CONFLICT Thread with ID ' .. thread_id .. ' already exists')
end
create_thread(thread_id, now, metadata, leaves, graph_id, false)
if ttl_strategy ~= '' then set_thread_ttl(thread_id, ttl_minutes, ttl_strategy, now) end
if nonce ~= '' then redis.call('HSET', K.thread(thread_id), 'nonce', nonce) end
return now
