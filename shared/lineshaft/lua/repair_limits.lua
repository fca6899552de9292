-- Look whether those that limits count do run, and whether somebody comes for the slots that are free.
-- FLAGS allow-oom
-- USES lib/limits lib/repair
-- ARGV limits causes...
-- `limits` as in run_claim.lua. A limit that was raised, or taken away, has free slots that nobody gave back: their runs are
-- called here, one in each queue, who then calls the next.
-- Returns pairs: what was wrong, and the run's thread ('' if that is not known any more).
local limits_of = read_limits(limits)
for _, cause in ipairs(causes) do
  for _, run_id in ipairs(redis.call('SMEMBERS', K.holders(cause))) do
    local run = redis.call('HMGET', K.run(run_id), 'status', 'thread')
    if run[1] ~= 'running' then
      redis.call('SREM', K.holders(cause), run_id)
      repaired('slot of a run that does not run', run[2] or '')
    end
  end
  local is_free = has_slot(limits_of, cause)
  local parked = 0
  for _, queue in ipairs(redis.call('HKEYS', K.queues())) do
    -- Who is called must be there.
    local first = first_parked(queue, cause)
    while first and redis.call('HGET', K.run(first), 'parked') ~= cause do
      redis.call('ZREM', K.parked(queue, cause), first)
      repaired('parked run that does not wait', redis.call('HGET', K.run(first), 'thread') or '')
      first = first_parked(queue, cause)
    end
    if first and is_free then call_back_parked(queue, cause) end
    if first then parked = parked + 1 end
  end
  if parked == 0 and redis.call('EXISTS', K.holders(cause)) == 0 then redis.call('SREM', K.limited(), cause) end
end
return repairs
