-- Add up what some checkpoints of one namespace take, newest first. A reader goes on `before` the one it came to.
-- FLAGS no-writes
-- USES lib/checkpoints
-- ARGV thread_id ns before
-- Returns where it stopped ('' at the end), checkpoints and their bytes, pending writes and their bytes, then names of
-- values with their bytes: neighbours share values, so a name may come again in another call.
local MOST = 200 -- checkpoints of one call; together with the reads below about 5 ms
local room = 2000 -- reads of values and writes
local ids = redis.call('ZRANGE', K.checkpoint_ids(thread_id, ns), before == '' and '+' or '(' .. before, '-', 'BYLEX', 'REV',
  'LIMIT', 0, MOST)

local function size(key, field)
  room = room - 1
  local bytes = redis.call('HSTRLEN', key, field)
  if bytes > 4096 then return bytes end -- longer than any reference to a large value
  local id = large_id(redis.call('HGET', key, field))
  if id then
    local large = K.checkpoint_large(thread_id, id)
    for _, slice in ipairs(redis.call('HKEYS', large)) do bytes = bytes + redis.call('HSTRLEN', large, slice) end
  end
  return bytes
end

local header_bytes, writes, write_bytes, values, seen = 0, 0, 0, {}, {}
for count, id in ipairs(ids) do
  local headers, blobs = K.checkpoint_headers(thread_id, ns), K.checkpoint_blobs(thread_id, ns)
  header_bytes = header_bytes + redis.call('HSTRLEN', headers, id) + redis.call('HSTRLEN', headers, id .. ':f')
  local _, _, names = anatomy(thread_id, ns, id)
  for _, name in ipairs(names or {}) do
    if not seen[name] then
      seen[name] = true
      values[#values + 1] = name
      values[#values + 1] = size(blobs, name)
    end
  end
  local pending = K.checkpoint_writes(thread_id, ns, id)
  for _, field in ipairs(redis.call('HKEYS', pending)) do
    writes, write_bytes = writes + 1, write_bytes + size(pending, field)
  end
  if room <= 0 or count == MOST then return { id, count, header_bytes, writes, write_bytes, values } end
end
return { '', #ids, header_bytes, writes, write_bytes, values }
