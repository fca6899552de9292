-- Store a thread's merged metadata if nobody changed it since it was read. Returns the new updated_at, or 0: read again.
-- USES lib/index lib/now
-- ARGV thread_id expected_version metadata leaves graph_id ttl_minutes ttl_strategy
local thread = K.thread(thread_id)
if redis.call('EXISTS', thread) == 0 then
  return redis.error_reply('NOTFOUND Thread with ID ' .. thread_id .. ' not found')
end
if (redis.call('HGET', thread, 'metadata_version') or '0') ~= expected_version then return 0 end
redis.call('HINCRBY', thread, 'metadata_version', 1)
redis.call('HSET', thread, 'metadata', metadata)
if ttl_strategy ~= '' then set_thread_ttl(thread_id, ttl_minutes, ttl_strategy, now) end
index_leaves(thread_id, leaves)
set_thread_graph(thread_id, graph_id, '')
return tonumber(touch_thread(thread_id, now))
