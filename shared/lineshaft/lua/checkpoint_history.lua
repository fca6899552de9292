-- Walk from a checkpoint's parent upwards and collect what the ancestors wrote to some channels (DeltaChannel).
-- FLAGS no-writes
-- USES lib/checkpoint_rows lib/checkpoints
-- ARGV thread_id ns checkpoint_id channels...
-- Each channel's walk ends at the nearest ancestor that has a value of it. Returns where the walk stopped ('' at its
-- end) and, newest first, per ancestor: fields and writes to these channels, channels and values found there.
-- The reader goes on from there with the channels that have no value yet.
local wanted, left = {}, #channels
for _, channel in ipairs(channels) do wanted[channel] = true end
if checkpoint_id == '' then checkpoint_id = latest_checkpoint(thread_id, ns) end
local ancestors = {}
while checkpoint_id and left > 0 do
  local parent = anatomy(thread_id, ns, checkpoint_id)
  local _, _, names = anatomy(thread_id, ns, parent or '')
  if not names then return { '', ancestors } end
  -- 500 ancestors or about 1 MiB a call.
  if #ancestors == 500 or room <= 0 then return { checkpoint_id, ancestors } end
  local writes, values = {}, {}
  local all = redis.call('HGETALL', K.checkpoint_writes(thread_id, ns, parent))
  for i = 1, #all, 2 do
    local channel = string.match(all[i + 1], '^.[^%z]*%z([^%z]*)')
    if wanted[channel] then
      writes[#writes + 1] = all[i]
      writes[#writes + 1] = all[i + 1]
      room = room - #all[i + 1]
    end
  end
  for _, name in ipairs(names) do
    local channel = string.match(name, '^[^%z]*')
    local value = wanted[channel] and redis.call('HGET', K.checkpoint_blobs(thread_id, ns), name)
    if value then
      values[#values + 1] = channel
      values[#values + 1] = value
      room = room - #value
      wanted[channel] = nil
      left = left - 1
    end
  end
  ancestors[#ancestors + 1] = { writes, values }
  checkpoint_id = parent
end
return { '', ancestors }
