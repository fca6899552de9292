-- Reading checkpoints.
-- USES lib/checkpoints

-- One reply carries about 1 MiB and 1,000 fields; what is beyond that, the reader fetches in parts.
local room, fields_left = 1048576, 1000

-- The values of `fields` as long as there is room.
local function take(key, fields)
  local values = {}
  for i, field in ipairs(fields) do
    if room <= 0 or fields_left <= 0 then break end
    local value = redis.call('HGET', key, field)
    values[i] = value
    fields_left = fields_left - 1
    if value then room = room - #value end
  end
  return values
end

-- id, header, anatomy, values (a first part of those the anatomy names), fields of writes, writes (a first part).
local function row(thread_id, ns, id, with_values)
  local header = redis.call('HMGET', K.checkpoint_headers(thread_id, ns), id, id .. ':f')
  if not header[1] then return false end
  local values = {}
  if with_values then
    local _, _, names = anatomy(thread_id, ns, id)
    values = take(K.checkpoint_blobs(thread_id, ns), names)
  end
  local key = K.checkpoint_writes(thread_id, ns, id)
  local fields = redis.call('HKEYS', key)
  return { id, header[1], header[2], values, fields, take(key, fields) }
end
