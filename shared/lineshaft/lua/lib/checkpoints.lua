-- The checkpoints of threads, as scripts see them. They never look into user data, only at what they must know:
-- * `<id>:f` in the headers: parent id, 'd' if the state is built upon the parents' writes (DeltaChannel), and the
--   names of the checkpoint's values, joined by \1. A value's name is `<channel>\0<version>`; versions never recur.
-- * the first byte of a value or write: 's' means that it is large, and its id is what follows the last \0.

local function large_id(value)
  if value and string.byte(value) == 115 then return string.match(value, '[^%z]*$') end
end

-- A header or write that names a large value makes it permanent.
local function keep_large(thread_id, value)
  local id = large_id(value)
  if not id then return end
  redis.call('SADD', K.checkpoint_large_ids(thread_id), id)
  redis.call('PERSIST', K.checkpoint_large(thread_id, id))
end

-- Forget the large value that one field names, if it does.
local function drop_large(thread_id, key, field)
  if redis.call('HSTRLEN', key, field) > 4096 then return end -- longer than any reference: saves reading it
  local id = large_id(redis.call('HGET', key, field))
  if not id then return end
  redis.call('SREM', K.checkpoint_large_ids(thread_id), id)
  redis.call('UNLINK', K.checkpoint_large(thread_id, id))
end

-- A thread that is gone has no rev, and counting one would bring back a ghost of it.
local function bump_rev(thread_id)
  if redis.call('EXISTS', K.thread(thread_id)) == 0 then return 0 end
  return redis.call('HINCRBY', K.thread(thread_id), 'rev', 1)
end

local function latest_checkpoint(thread_id, ns)
  return redis.call('ZRANGE', K.checkpoint_ids(thread_id, ns), '+', '-', 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
end

-- Parent id, whether it is built upon the parents' writes, and value names; nil if there is no such checkpoint.
local function anatomy(thread_id, ns, id)
  local text = redis.call('HGET', K.checkpoint_headers(thread_id, ns), id .. ':f')
  if not text then return nil end
  local parent, delta, rest = string.match(text, '^([^\1]*)\1([^\1]*)(.*)$')
  local names = {}
  for name in string.gmatch(rest, '[^\1]+') do names[#names + 1] = name end
  return parent, delta == 'd', names
end

local function remove_writes(thread_id, ns, id, has_large)
  local key = K.checkpoint_writes(thread_id, ns, id)
  if has_large then
    for _, field in ipairs(redis.call('HKEYS', key)) do drop_large(thread_id, key, field) end
  end
  redis.call('UNLINK', key)
end

-- So many later checkpoints are looked at to find out which values can go. Behind more of them values stay until
-- their thread goes: a little memory, but a script that never blocks Redis for long.
local LATER = 10000

-- Remove some checkpoints of one namespace, `ids` newest first. Returns an error reply, and does nothing, if one that
-- stays is built upon them.
local function remove_checkpoints(thread_id, ns, ids)
  local headers, blobs = K.checkpoint_headers(thread_id, ns), K.checkpoint_blobs(thread_id, ns)
  local going, unused, count = {}, {}, 0
  for _, id in ipairs(ids) do
    local parent, _, names = anatomy(thread_id, ns, id)
    local inherited = {}
    if parent and parent ~= '' then
      local _, _, theirs = anatomy(thread_id, ns, parent)
      for _, name in ipairs(theirs or {}) do inherited[name] = true end
    end
    for _, name in ipairs(names or {}) do
      if not inherited[name] and not unused[name] then unused[name], count = true, count + 1 end
    end
    going[id] = true
  end
  local later = redis.call('ZRANGE', K.checkpoint_ids(thread_id, ns), '(' .. ids[#ids], '+', 'BYLEX', 'LIMIT', 0, LATER)
  for _, id in ipairs(later) do
    if not going[id] then
      local parent, delta, names = anatomy(thread_id, ns, id)
      if delta and going[parent] then
        return redis.error_reply('CONFLICT Later checkpoints of this thread are built upon these (DeltaChannel)')
      end
      for _, name in ipairs(names or {}) do
        if unused[name] then unused[name], count = nil, count - 1 end
      end
    end
  end
  local has_large = redis.call('EXISTS', K.checkpoint_large_ids(thread_id)) == 1
  for _, id in ipairs(ids) do
    remove_writes(thread_id, ns, id, has_large)
    redis.call('HDEL', headers, id, id .. ':f')
    redis.call('ZREM', K.checkpoint_ids(thread_id, ns), id)
  end
  if #later == LATER then return end
  for name in pairs(unused) do
    if has_large then drop_large(thread_id, blobs, name) end
    redis.call('HDEL', blobs, name)
  end
  if redis.call('EXISTS', headers) == 0 then
    redis.call('UNLINK', blobs)
    redis.call('SREM', K.checkpoint_namespaces(thread_id), ns)
  end
end

-- Delete all checkpoints of a thread.
local function delete_checkpoints(thread_id)
  for _, ns in ipairs(redis.call('SMEMBERS', K.checkpoint_namespaces(thread_id))) do
    for _, id in ipairs(redis.call('ZRANGE', K.checkpoint_ids(thread_id, ns), 0, -1)) do
      redis.call('UNLINK', K.checkpoint_writes(thread_id, ns, id))
    end
    redis.call('UNLINK', K.checkpoint_ids(thread_id, ns), K.checkpoint_headers(thread_id, ns),
      K.checkpoint_blobs(thread_id, ns))
  end
  for _, early in ipairs(redis.call('SMEMBERS', K.checkpoint_early_writes(thread_id))) do
    local ns, id = string.match(early, '^([^%z]*)%z(.*)$')
    redis.call('UNLINK', K.checkpoint_writes(thread_id, ns, id))
  end
  for _, id in ipairs(redis.call('SMEMBERS', K.checkpoint_large_ids(thread_id))) do
    redis.call('UNLINK', K.checkpoint_large(thread_id, id))
  end
  redis.call('UNLINK', K.checkpoint_namespaces(thread_id), K.checkpoint_early_writes(thread_id),
    K.checkpoint_large_ids(thread_id))
end
