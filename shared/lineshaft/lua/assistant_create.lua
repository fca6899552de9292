-- Create an assistant at version 1. Returns its created_at, or 0 if it exists and that is accepted.
-- USES lib/now
-- ARGV assistant_id graph_id doc queue priority if_exists nonce
--
-- `queue` and `priority` are what it chooses for its runs, or ''.
-- `nonce` makes the call repeatable: whoever finds an assistant with its own nonce has created it.
local assistant = K.assistant(assistant_id)
if redis.call('EXISTS', assistant) == 1 then
  if if_exists == 'do_nothing' or redis.call('HGET', assistant, 'nonce') == nonce then return 0 end
  return redis.error_reply('CONFLICT Assistant with ID ' .. assistant_id .. ' already exists')
end
local time = string.format('%.0f', now)
redis.call('HSET', assistant, 'graph_id', graph_id, 'doc', doc, 'version', 1, 'last_version', 1, 'created', time,
  'updated', time, 'nonce', nonce, 'queue', queue, 'priority', priority)
redis.call('HSET', K.assistant_versions(assistant_id), 1, time .. ' ' .. doc)
redis.call('ZADD', K.assistants(), time, assistant_id)
return now
