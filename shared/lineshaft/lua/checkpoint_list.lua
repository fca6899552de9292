-- Read up to `limit` checkpoints older than `before` (or from the latest one), newest first, without their values.
-- FLAGS no-writes
-- USES lib/checkpoint_rows
-- ARGV thread_id ns before limit
local first = before == '' and '+' or '(' .. before
local ids = redis.call('ZRANGE', K.checkpoint_ids(thread_id, ns), first, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit)
local rows = {}
for i, id in ipairs(ids) do rows[i] = row(thread_id, ns, id, false) end
return rows
