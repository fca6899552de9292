-- Copying checkpoints to other threads.
-- USES lib/checkpoints

-- Bytes that one call may copy. A command counts for some: a checkpoint may have a thousand channels and no new value.
local room = 1048576
local COMMAND = 500

-- Copy one checkpoint with its values, but not its pending writes. Large values are named there as here: references name
-- them within their own thread, and their slices are copied by themselves. Returns whether there is such a checkpoint.
local function copy_checkpoint(source, target, ns, id)
  local header = redis.call('HMGET', K.checkpoint_headers(source, ns), id, id .. ':f')
  if not header[1] then return false end
  local from, to = K.checkpoint_blobs(source, ns), K.checkpoint_blobs(target, ns)
  local _, _, names = anatomy(source, ns, id)
  for _, name in ipairs(names) do
    room = room - COMMAND
    if redis.call('HEXISTS', to, name) == 0 then
      local value = redis.call('HGET', from, name)
      if value then
        redis.call('HSET', to, name, value)
        keep_large(target, value)
        room = room - #value
      end
    end
  end
  redis.call('HSET', K.checkpoint_headers(target, ns), id, header[1], id .. ':f', header[2])
  redis.call('ZADD', K.checkpoint_ids(target, ns), 0, id)
  redis.call('SADD', K.checkpoint_namespaces(target), ns)
  room = room - 10 * COMMAND - #header[1] - #header[2]
  return true
end
