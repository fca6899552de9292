-- Makes one worker's description of a graph the one that is served; an empty error means that the graph loads.
-- FLAGS allow-oom
-- USES lib/now
-- ARGV graph_id descriptor revision error worker
-- returns 1
local key = K.graph(graph_id)
redis.call('HSET', key, 'descriptor', descriptor, 'revision', revision, 'worker', worker, 'published', now)
if error == '' then
  redis.call('HDEL', key, 'error')
else
  redis.call('HSET', key, 'error', error)
end
redis.call('SADD', K.graphs(), graph_id)
return 1
