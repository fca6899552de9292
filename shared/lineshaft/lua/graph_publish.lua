-- A worker describes a graph that it has loaded; an empty error means that it could.
-- FLAGS allow-oom
-- USES lib/graphs lib/now
-- ARGV graph_id descriptor revision error worker
-- Returns 1 if this revision is the one that is served from now on, 0 if a newer one lives.
local key = K.graph(graph_id)
if redis.call('EXISTS', K.worker(worker)) == 1 then redis.call('HSET', K.worker(worker), 'graph:' .. graph_id, revision) end
-- What was kept of revisions that nobody has any more.
local living = { [revision] = true }
for _, other in ipairs(redis.call('ZRANGE', K.workers(), 0, -1)) do
  living[redis.call('HGET', K.worker(other), 'graph:' .. graph_id) or ''] = true
end
for _, field in ipairs(redis.call('HKEYS', key)) do
  local kept = string.match(field, '^first:(.*)$')
  if kept and not living[kept] then redis.call('HDEL', key, 'first:' .. kept, 'doc:' .. kept, 'error:' .. kept) end
end
redis.call('HSETNX', key, 'first:' .. revision, now)
redis.call('HSET', key, 'doc:' .. revision, descriptor)
if error == '' then redis.call('HDEL', key, 'error:' .. revision) else redis.call('HSET', key, 'error:' .. revision, error) end
redis.call('SADD', K.graphs(), graph_id)
return choose_revision(graph_id, revision) == revision and 1 or 0
