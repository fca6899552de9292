-- Make a new version of an assistant if the expected one is current. Returns its number, or 0: read again.
-- USES lib/answered lib/now
-- ARGV assistant_id expected_version graph_id doc queue priority request
-- `request` names the call, see lib/answered: made again after a lost answer it makes no second version.
local assistant = K.assistant(assistant_id)
local made = answered(request)
if made then return tonumber(made) end
local current = redis.call('HMGET', assistant, 'version', 'updated')
if not current[1] then return redis.error_reply('NOTFOUND Assistant ' .. assistant_id .. ' not found') end
if current[1] ~= expected_version then return 0 end
local version = redis.call('HINCRBY', assistant, 'last_version', 1)
-- 1 ms past the last change at least: two versions never carry the same time.
local time = string.format('%.0f', math.max(now, tonumber(current[2]) + 1))
redis.call('HSET', assistant, 'graph_id', graph_id, 'doc', doc, 'version', version, 'updated', time,
  'queue', queue, 'priority', priority)
redis.call('HSET', K.assistant_versions(assistant_id), version, time .. ' ' .. doc)
remember(request, version)
return version
