-- Pause or drain a queue, or open it again.
-- FLAGS allow-oom
-- USES lib/queue
-- ARGV queue state
-- `state` is 'paused': nobody claims a run of it; 'draining': no run is added to it; or 'open'. The last call stands.
-- Returns 1.
redis.call('HSET', K.queues(), queue, state)
-- What nobody claimed meanwhile has no token left that would wake somebody.
if state ~= 'paused' then wake(queue) end
return 1
