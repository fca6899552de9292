-- Copy up to `limit` checkpoints of one namespace to another thread, from behind the checkpoint `after` on, oldest first.
-- USES lib/checkpoint_copies lib/checkpoints
-- ARGV source target ns after limit
-- Their large values must be there already (checkpoint_copy_slice.lua). Returns the id of the last one that was copied, ''
-- when there was none left.
local first = after == '' and '-' or '(' .. after
local last = ''
for _, id in ipairs(redis.call('ZRANGE', K.checkpoint_ids(source, ns), first, '+', 'BYLEX', 'LIMIT', 0, limit)) do
  if copy_checkpoint(source, target, ns, id) then
    redis.call('COPY', K.checkpoint_writes(source, ns, id), K.checkpoint_writes(target, ns, id), 'REPLACE')
  end
  last = id
  if room <= 0 then break end
end
bump_rev(target)
return last
