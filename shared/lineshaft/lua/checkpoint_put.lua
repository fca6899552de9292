-- Put one checkpoint of a thread with the values of the channels that changed.
-- FLAGS allow-oom
-- USES lib/checkpoints lib/fence
-- ARGV run_id token owner thread_id ns checkpoint_id header anatomy_text values...
-- Without a token the write is not fenced. `owner` is the run whose checkpoint it is, or ''. `values` are pairs of name
-- and value. Returns the thread's rev, and 1 if this is now the latest checkpoint of its namespace.
if token ~= '' then
  if not holds(run_id, token) then return redis.error_reply('FENCED This run has been taken over') end
  redis.call('HSET', K.run(run_id), 'wrote', 1)
end
if owner ~= '' then
  redis.call('SADD', K.run_checkpoints(owner), thread_id .. '\0' .. ns .. '\0' .. checkpoint_id)
end
local blobs = K.checkpoint_blobs(thread_id, ns)
for i = 1, #values, 2 do keep_large(thread_id, values[i + 1]) end
-- unpack fails at 8,000
for i = 1, #values, 4000 do redis.call('HSET', blobs, unpack(values, i, math.min(i + 3999, #values))) end
redis.call('HSET', K.checkpoint_headers(thread_id, ns), checkpoint_id, header, checkpoint_id .. ':f', anatomy_text)
redis.call('ZADD', K.checkpoint_ids(thread_id, ns), 0, checkpoint_id)
redis.call('SADD', K.checkpoint_namespaces(thread_id), ns)
redis.call('SREM', K.checkpoint_early_writes(thread_id), ns .. '\0' .. checkpoint_id)
return { bump_rev(thread_id), latest_checkpoint(thread_id, ns) == checkpoint_id and 1 or 0 }
