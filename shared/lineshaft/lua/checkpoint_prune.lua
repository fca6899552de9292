-- Remove up to `limit` checkpoints of one namespace, but never the latest. Returns 1 while something is left: call again.
-- FLAGS allow-oom
-- USES lib/checkpoints
-- ARGV thread_id ns limit
local ids = redis.call('ZRANGE', K.checkpoint_ids(thread_id, ns), '+', '-', 'BYLEX', 'REV', 'LIMIT', 1, limit)
if #ids == 0 then return 0 end
local refused = remove_checkpoints(thread_id, ns, ids)
if refused then return refused end
bump_rev(thread_id)
return 1
