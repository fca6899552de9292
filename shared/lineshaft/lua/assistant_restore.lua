-- Make an older version of an assistant the current one; it keeps its number. Returns 1, or 0: read again.
-- USES lib/now
-- ARGV assistant_id version stored graph_id queue priority
-- `stored` is the version as the caller has read it, and `graph_id`, `queue` and `priority` are in it: the assistant may have been made anew since.
local assistant = K.assistant(assistant_id)
local found = redis.call('HGET', K.assistant_versions(assistant_id), version)
if not found then
  return redis.error_reply('NOTFOUND Version ' .. version .. ' of assistant ' .. assistant_id .. ' not found')
end
if found ~= stored then return 0 end
local time = string.format('%.0f', math.max(now, tonumber(redis.call('HGET', assistant, 'updated')) + 1))
redis.call('HSET', assistant, 'graph_id', graph_id, 'doc', string.match(found, '^%d+ (.*)$'), 'version', version,
  'updated', time, 'queue', queue, 'priority', priority)
return 1
