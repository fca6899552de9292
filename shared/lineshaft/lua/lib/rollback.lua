-- Taking back what a run wrote into its thread.
-- USES lib/checkpoints

local PLACE = '^([^%z]*)%z([^%z]*)%z([^%z]*)' -- thread id, namespace, checkpoint id

-- Before a run first writes on a checkpoint that is not its own (a resume does), keep that checkpoint's writes.
local function keep_writes(run_id, thread_id, ns, checkpoint_id)
  local place = thread_id .. '\0' .. ns .. '\0' .. checkpoint_id
  if redis.call('SISMEMBER', K.run_checkpoints(run_id), place) == 1 then return end
  local kept = K.run_kept_writes(run_id)
  if redis.call('HSETNX', kept, place, '') == 0 then return end
  local writes = redis.call('HGETALL', K.checkpoint_writes(thread_id, ns, checkpoint_id))
  for i = 1, #writes, 2 do redis.call('HSET', kept, place .. '\0' .. writes[i], writes[i + 1]) end
end

local function is_kept(run_id, thread_id, ns, checkpoint_id, field, value)
  local place = thread_id .. '\0' .. ns .. '\0' .. checkpoint_id
  return redis.call('HGET', K.run_kept_writes(run_id), place .. '\0' .. field) == value
end

-- Put the kept writes back.
local function restore_writes(run_id)
  local kept = redis.call('HGETALL', K.run_kept_writes(run_id))
  local needed = {}
  for i = 2, #kept, 2 do
    local id = large_id(kept[i])
    if id then needed[id] = true end
  end
  for i = 1, #kept, 2 do
    local thread_id, ns, id = string.match(kept[i], PLACE .. '$')
    if thread_id then
      local key = K.checkpoint_writes(thread_id, ns, id)
      for _, field in ipairs(redis.call('HKEYS', key)) do
        if not needed[large_id(redis.call('HGET', key, field)) or ''] then drop_large(thread_id, key, field) end
      end
      redis.call('DEL', key)
      redis.call('SREM', K.checkpoint_early_writes(thread_id), ns .. '\0' .. id)
      bump_rev(thread_id)
    end
  end
  for i = 1, #kept, 2 do
    local thread_id, ns, id, field = string.match(kept[i], PLACE .. '%z(.+)$')
    -- The checkpoint itself may be gone by now.
    if thread_id and redis.call('HEXISTS', K.checkpoint_headers(thread_id, ns), id) == 1 then
      redis.call('HSET', K.checkpoint_writes(thread_id, ns, id), field, kept[i + 1])
    end
  end
end

-- Remove some of the run's checkpoints, `members` of K.run_checkpoints, newest first: the thread's state is a former one
-- after each call. Returns an error reply, and goes no further, if a later checkpoint is built upon one.
local function remove_own(run_id, members)
  local groups, order = {}, {}
  for _, member in ipairs(members) do
    local thread_id, ns, id = string.match(member, PLACE .. '$')
    local place = thread_id .. '\0' .. ns
    if not groups[place] then
      groups[place] = { thread_id = thread_id, ns = ns, ids = {}, members = {} }
      order[#order + 1] = place
    end
    table.insert(groups[place].ids, id)
    table.insert(groups[place].members, member)
  end
  for _, place in ipairs(order) do
    local group = groups[place]
    local refused = remove_checkpoints(group.thread_id, group.ns, group.ids)
    if refused then return refused end
    for _, member in ipairs(group.members) do redis.call('SREM', K.run_checkpoints(run_id), member) end
    bump_rev(group.thread_id)
  end
end

local function checkpoint_of(member) return string.match(member, '[^%z]*$') end

-- Take back all that the run did, if it wrote no more than `limit` checkpoints: at the end the writes of other runs'
-- checkpoints are put back. Returns 0; 1 if there are more, which must be removed before; or an error reply.
local function roll_back(run_id, limit)
  local own = K.run_checkpoints(run_id)
  if redis.call('SCARD', own) > limit then return 1 end
  local members = redis.call('SMEMBERS', own)
  table.sort(members, function(a, b) return checkpoint_of(a) > checkpoint_of(b) end)
  local refused = remove_own(run_id, members)
  if refused then return refused end
  restore_writes(run_id)
  redis.call('UNLINK', own, K.run_kept_writes(run_id))
  return 0
end
