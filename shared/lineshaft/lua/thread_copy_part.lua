-- Copy up to `limit` checkpoints of one namespace to a thread that is being made, from behind the one named `after`, oldest
-- first: as if the run under way had not begun.
-- USES lib/checkpoint_copies lib/checkpoints lib/thread_copies
-- ARGV source target ns after limit
-- Returns the id of the last one it came to, '' when there was none left. Refuses: CONFLICT (the copy was given up).
if not copy_goes_on(target) then return redis.error_reply('CONFLICT The copy took too long, and was given up') end
local run = run_under_way(source)
local has_large = redis.call('EXISTS', K.checkpoint_large_ids(source)) == 1

-- The writes that checkpoints had before the run added its own, by checkpoint: see lib/rollback.
local kept
local function kept_writes(place)
  if redis.call('HEXISTS', K.run_kept_writes(run), place) == 0 then return nil end
  if not kept then
    kept = {}
    local all = redis.call('HGETALL', K.run_kept_writes(run))
    for i = 1, #all, 2 do
      local of, field = string.match(all[i], '^([^%z]*%z[^%z]*%z[^%z]*)%z(.+)$')
      if of then
        kept[of] = kept[of] or {}
        kept[of][field] = all[i + 1]
      end
    end
  end
  return kept[place] or {}
end

local function copy_writes(id, place)
  local from, to = K.checkpoint_writes(source, ns, id), K.checkpoint_writes(target, ns, id)
  local before = run and kept_writes(place)
  if before then
    redis.call('DEL', to)
    for field, value in pairs(before) do
      redis.call('HSET', to, field, value)
      keep_large(target, value)
      room = room - COMMAND - #value
    end
    return
  end
  redis.call('COPY', from, to, 'REPLACE')
  for _, field in ipairs(redis.call('HKEYS', to)) do
    local size = redis.call('HSTRLEN', to, field)
    room = room - COMMAND - size
    if has_large and size <= 4096 then keep_large(target, redis.call('HGET', to, field)) end -- longer than any reference
  end
end

local first = after == '' and '-' or '(' .. after
local last = ''
for _, id in ipairs(redis.call('ZRANGE', K.checkpoint_ids(source, ns), first, '+', 'BYLEX', 'LIMIT', 0, limit)) do
  local place = source .. '\0' .. ns .. '\0' .. id
  local is_runs = run and redis.call('SISMEMBER', K.run_checkpoints(run), place) == 1
  if not is_runs and copy_checkpoint(source, target, ns, id) then copy_writes(id, place) end
  last = id
  if room <= 0 then break end
end
return last
