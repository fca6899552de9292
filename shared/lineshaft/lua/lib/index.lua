-- The indexes by which threads are found.
--
-- A thread stands in four sorted sets (created, updated, state updated, id), in the set of the status that clients see
-- (`shown` in its hash remembers which), in the sets of its metadata's leaves (`leaves` remembers which, joined by
-- spaces) and in those of its graph_id and assistant_id, which the hash keeps beside the metadata. A temporary thread
-- stands in none of them.

local function index_add(set, thread_id)
  if redis.call('HEXISTS', K.thread(thread_id), 'temporary') == 0 then redis.call('SADD', set, thread_id) end
end

local function index_rank(order, score, thread_id)
  if redis.call('HEXISTS', K.thread(thread_id), 'temporary') == 0 then redis.call('ZADD', order, score, thread_id) end
end

-- What clients read as the thread's status, put into the index; call it whenever a run was added or ended.
local function set_thread_status(thread_id)
  local thread = redis.call('HMGET', K.thread(thread_id), 'status', 'active', 'shown')
  local status, was = thread[1], thread[3]
  if not status then return end
  if thread[2] or redis.call('ZCARD', K.thread_waiting(thread_id)) > 0 then status = 'busy' end
  if status ~= was then
    if was then redis.call('SREM', K.threads_with_status(was), thread_id) end
    index_add(K.threads_with_status(status), thread_id)
    redis.call('HSET', K.thread(thread_id), 'shown', status)
  end
  return status
end

-- Move a time of the thread to `now`, or 1 ms past what it was: two changes never carry the same time.
local function move_time(thread_id, field, order, now)
  local was = tonumber(redis.call('HGET', K.thread(thread_id), field) or 0)
  local moved = string.format('%.0f', math.max(now, was + 1))
  redis.call('HSET', K.thread(thread_id), field, moved)
  index_rank(order, moved, thread_id)
  return moved
end

-- The thread's record changed. Returns its new updated_at.
local function touch_thread(thread_id, now)
  return move_time(thread_id, 'updated', K.threads_by_updated(), now)
end

-- The thread's state (snapshot) changed; updated_at is the caller's to move.
local function touch_thread_state(thread_id, now)
  return move_time(thread_id, 'state_updated', K.threads_by_state_updated(), now)
end

-- Replace the indexed leaves of the thread's metadata by `leaves`, joined by spaces.
local function index_leaves(thread_id, leaves)
  local was = redis.call('HGET', K.thread(thread_id), 'leaves') or ''
  if was == leaves then return end
  for leaf in string.gmatch(was, '[^ ]+') do redis.call('SREM', K.threads_with(leaf), thread_id) end
  for leaf in string.gmatch(leaves, '[^ ]+') do index_add(K.threads_with(leaf), thread_id) end
  redis.call('HSET', K.thread(thread_id), 'leaves', leaves)
end

local function index_name(thread_id, field, value)
  local was = redis.call('HGET', K.thread(thread_id), field)
  if value == '' or was == value then return end
  if was then redis.call('SREM', K.threads_with(field .. '="' .. was .. '"'), thread_id) end
  index_add(K.threads_with(field .. '="' .. value .. '"'), thread_id)
  redis.call('HSET', K.thread(thread_id), field, value)
end

-- How long the thread is kept after its last change. The index is not moved at every change: whoever finds the thread
-- there looks whether its time has come (thread_expire.lua).
local function set_thread_ttl(thread_id, minutes, strategy, now)
  redis.call('HSET', K.thread(thread_id), 'ttl_minutes', minutes, 'ttl_strategy', strategy)
  redis.call('ZADD', K.threads_by_expiry(), now + tonumber(minutes) * 60000, thread_id)
end

-- Which graph and assistant the thread belongs to; '' leaves one as it is.
local function set_thread_graph(thread_id, graph_id, assistant_id)
  index_name(thread_id, 'graph_id', graph_id)
  index_name(thread_id, 'assistant_id', assistant_id)
end

-- Returns in how many indexes the thread stood that do not depend on what its record says.
local function unindex_thread(thread_id)
  local thread = redis.call('HMGET', K.thread(thread_id), 'shown', 'leaves', 'graph_id', 'assistant_id')
  local removed = redis.call('SREM', K.threads_with_garbage(), thread_id)
  for _, order in ipairs({
    K.threads_by_created(), K.threads_by_updated(), K.threads_by_state_updated(), K.threads_by_id(),
    K.threads_temporary(), K.threads_by_expiry(),
  }) do
    removed = removed + redis.call('ZREM', order, thread_id)
  end
  if thread[1] then redis.call('SREM', K.threads_with_status(thread[1]), thread_id) end
  for leaf in string.gmatch(thread[2] or '', '[^ ]+') do redis.call('SREM', K.threads_with(leaf), thread_id) end
  if thread[3] then redis.call('SREM', K.threads_with('graph_id="' .. thread[3] .. '"'), thread_id) end
  if thread[4] then redis.call('SREM', K.threads_with('assistant_id="' .. thread[4] .. '"'), thread_id) end
  return removed
end
