-- The birth of a thread.
-- USES lib/checkpoints lib/index

-- `metadata` is JSON without graph_id, which comes as its own argument ('' if none); `leaves` joined by spaces.
local function create_thread(thread_id, now, metadata, leaves, graph_id, temporary)
  -- What is left of one that had this id must not become this one's. Normally nothing is: whoever deleted it saw to that.
  if redis.call('SREM', K.threads_disposed(), thread_id) == 1 then
    while delete_checkpoints(thread_id, 1000) do end
  end
  local time = string.format('%.0f', now)
  redis.call('HSET', K.thread(thread_id), 'id', thread_id, 'created', time, 'updated', time, 'state_updated', time,
    'status', 'idle', 'metadata', metadata, 'config', '{}')
  if temporary then
    redis.call('HSET', K.thread(thread_id), 'temporary', '1')
    redis.call('ZADD', K.threads_temporary(), time, thread_id)
  end
  index_rank(K.threads_by_created(), time, thread_id)
  index_rank(K.threads_by_updated(), time, thread_id)
  index_rank(K.threads_by_state_updated(), time, thread_id)
  index_rank(K.threads_by_id(), 0, thread_id)
  index_leaves(thread_id, leaves)
  set_thread_graph(thread_id, graph_id, '')
  set_thread_status(thread_id)
end
