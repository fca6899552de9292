-- Look whether entries of a queue stand for runs that wait or run, and mend what does not.
-- FLAGS allow-oom
-- USES lib/repair
-- ARGV queue max_crashes run_ids...
-- Returns pairs: what was wrong, and the run's thread ('' if that is not known any more).
for _, run_id in ipairs(run_ids) do
  local run = redis.call('HMGET', K.run(run_id), 'status', 'thread', 'queue')
  if is_over(run[1]) or run[3] ~= queue then
    redis.call('ZREM', K.line(queue), run_id)
    if redis.call('ZREM', K.queue(queue), run_id) == 1 then
      repaired('queue entry of a run that is over', run[2] or '')
    end
  else
    repair_thread(run[2], max_crashes)
  end
end
return repairs
