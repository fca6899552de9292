-- Create a thread. Returns its created_at, or 0 if it exists and that is accepted.
-- USES lib/now lib/index lib/thread
-- ARGV thread_id metadata leaves graph_id ttl_minutes ttl_strategy if_exists nonce
--
-- `nonce` makes the call repeatable: whoever finds a thread with its own nonce has created it.
if redis.call('EXISTS', K.thread(thread_id)) == 1 then
  if if_exists == 'do_nothing' or redis.call('HGET', K.thread(thread_id), 'nonce') == nonce then return 0 end
  return redis.error_reply('CONFLICT Thread with ID ' .. thread_id .. ' already exists')
end
create_thread(thread_id, now, metadata, leaves, graph_id, false)
if ttl_strategy ~= '' then
  redis.call('HSET', K.thread(thread_id), 'ttl_minutes', ttl_minutes, 'ttl_strategy', ttl_strategy)
end
-- A thread whose id we made is created with do_nothing and needs none.
if if_exists == 'raise' then redis.call('HSET', K.thread(thread_id), 'nonce', nonce) end
return now
