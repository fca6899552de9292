-- Put pending writes of one task on a checkpoint.
-- FLAGS allow-oom
-- USES lib/checkpoints lib/fence lib/rollback
-- ARGV run_id token thread_id ns checkpoint_id writes...
-- Without a token the write is not fenced. `writes` are triples: 1 if the first one of that field stands, field, value.
-- Returns the thread's rev.
if token ~= '' then
  if not holds(run_id, token) then return redis.error_reply('FENCED This run has been taken over') end
  redis.call('HSET', K.run(run_id), 'wrote', 1)
  keep_writes(run_id, thread_id, ns, checkpoint_id)
end
local key = K.checkpoint_writes(thread_id, ns, checkpoint_id)
for i = 1, #writes, 3 do
  local field, value = writes[i + 1], writes[i + 2]
  if writes[i] ~= '1' then
    local old = redis.call('HGET', key, field)
    if large_id(old) and old ~= value and not is_kept(run_id, thread_id, ns, checkpoint_id, field, old) then
      drop_large(thread_id, key, field)
    end
    redis.call('HSET', key, field, value)
    keep_large(thread_id, value)
  elseif redis.call('HSETNX', key, field, value) == 1 or large_id(value) and redis.call('HGET', key, field) == value then
    keep_large(thread_id, value) -- also if this call is the repetition of one whose reply was lost
  end
end
-- Writes may arrive before their checkpoint does, and then it may never come.
if redis.call('HEXISTS', K.checkpoint_headers(thread_id, ns), checkpoint_id) == 0 then
  redis.call('SADD', K.checkpoint_early_writes(thread_id), ns .. '\0' .. checkpoint_id)
end
return bump_rev(thread_id)
