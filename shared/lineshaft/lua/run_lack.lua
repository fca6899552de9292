-- A worker lacks the graph of a run that it has claimed: give the run to one that has it.
-- FLAGS allow-oom
-- USES lib/attempts lib/fence lib/now lib/queue
-- ARGV run_id token graph_id patience delay
-- Nobody claims it for `delay` ms; the attempt is not counted. `patience` in ms is how long a run waits while no living
-- worker has the graph: a rolling deploy takes less.
-- Returns 1, or 0 if it has waited that long: then it is still the caller's. Refuses: FENCED.
if not holds(run_id, token) then return redis.error_reply('FENCED') end
local is_known = false
for _, worker in ipairs(redis.call('ZRANGE', K.workers(), 0, -1)) do
  is_known = is_known or redis.call('HEXISTS', K.worker(worker), 'graph:' .. graph_id) == 1
end
if is_known then
  redis.call('HDEL', K.run(run_id), 'lacked')
else
  redis.call('HSETNX', K.run(run_id), 'lacked', now)
  if now - tonumber(redis.call('HGET', K.run(run_id), 'lacked')) > tonumber(patience) then return 0 end
end
close_attempt(run_id, 'lacked its graph')
give_back(run_id, now + tonumber(delay))
return 1
