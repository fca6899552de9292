-- Append a batch of events of a running run to its thread's log.
-- FLAGS allow-oom
-- USES lib/fence lib/log lib/now
-- ARGV run_id token batch entries...
-- `batch` counts the appends of this attempt from 1: a batch that is here already, after a lost answer, adds nothing.
-- `entries` are triples: event name, 'd' and data or 'k' and a blob's id.
-- Returns 1. Refuses: FENCED.
if not holds(run_id, token) then return redis.error_reply('FENCED') end
local run = redis.call('HMGET', K.run(run_id), 'batch', 'thread', 'attempt')
if tonumber(run[1] or 0) >= tonumber(batch) then return 1 end
append(run[2], run_id, run[3], entries)
redis.call('HSET', K.run(run_id), 'batch', batch)
redis.call('HSETNX', K.run(run_id), 'first_event', now)
return 1
