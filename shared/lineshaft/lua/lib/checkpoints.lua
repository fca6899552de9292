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

-- So many later checkpoints are looked at for what is built upon one that is to go, and so many for the values that they
-- name: a script never blocks Redis for long. Behind more of them values stay until the reconciler looks
-- (checkpoint_sweep.lua).
local LATER, NAMING = 10000, 2000

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
  for start = 1, #later, 500 do -- in one command each: unpack fails at 8,000
    local fields = {}
    for i = start, math.min(start + 499, #later) do fields[#fields + 1] = later[i] .. ':f' end
    for i, text in ipairs(redis.call('HMGET', headers, unpack(fields))) do
      local place = start + i - 1
      if text and not going[later[place]] then
        local parent, delta, names = string.match(text, '^([^\1]*)\1([^\1]*)(.*)$')
        if delta == 'd' and going[parent] then
          return redis.error_reply('CONFLICT Later checkpoints of this thread are built upon these (DeltaChannel)')
        end
        if count > 0 and place <= NAMING then
          for name in string.gmatch(names, '[^\1]+') do
            if unused[name] then unused[name], count = nil, count - 1 end
          end
        end
      end
    end
  end
  local has_large = redis.call('EXISTS', K.checkpoint_large_ids(thread_id)) == 1
  for _, id in ipairs(ids) do
    remove_writes(thread_id, ns, id, has_large)
    redis.call('HDEL', headers, id, id .. ':f')
    redis.call('ZREM', K.checkpoint_ids(thread_id, ns), id)
  end
  if #later > NAMING and count > 0 then return redis.call('SADD', K.threads_with_garbage(), thread_id) and nil end
  for name in pairs(unused) do
    if has_large then drop_large(thread_id, blobs, name) end
    redis.call('HDEL', blobs, name)
  end
  if redis.call('EXISTS', headers) == 0 then
    redis.call('UNLINK', blobs)
    redis.call('SREM', K.checkpoint_namespaces(thread_id), ns)
  end
end

-- Delete up to about `limit` of a thread's checkpoints, newest first, and with the last ones whatever else is left of
-- its states. Returns whether something is left: one script must not hold Redis up for a thread of any size.
local function delete_checkpoints(thread_id, limit)
  local left = limit
  for _, ns in ipairs(redis.call('SMEMBERS', K.checkpoint_namespaces(thread_id))) do
    if left <= 0 then return true end
    local ids, headers = K.checkpoint_ids(thread_id, ns), K.checkpoint_headers(thread_id, ns)
    local going = redis.call('ZRANGE', ids, -left, -1)
    for _, id in ipairs(going) do
      redis.call('UNLINK', K.checkpoint_writes(thread_id, ns, id))
      redis.call('HDEL', headers, id, id .. ':f')
      redis.call('ZREM', ids, id)
    end
    left = left - #going - 1 -- a namespace costs as much as a checkpoint
    if redis.call('EXISTS', ids) == 0 then
      redis.call('UNLINK', headers, K.checkpoint_blobs(thread_id, ns))
      redis.call('SREM', K.checkpoint_namespaces(thread_id), ns)
    end
  end
  if left <= 0 then return true end
  local early = redis.call('SPOP', K.checkpoint_early_writes(thread_id), left)
  for _, place in ipairs(early) do
    local ns, id = string.match(place, '^([^%z]*)%z(.*)$')
    redis.call('UNLINK', K.checkpoint_writes(thread_id, ns, id))
  end
  left = left - #early
  if left <= 0 then return true end
  local large = redis.call('SPOP', K.checkpoint_large_ids(thread_id), left)
  for _, id in ipairs(large) do redis.call('UNLINK', K.checkpoint_large(thread_id, id)) end
  return #large == left
end
