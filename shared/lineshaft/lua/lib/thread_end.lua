-- The removal of a thread's runs.
-- USES lib/queue lib/run_end

-- Take a run out of every place. If a worker holds it, it is fenced: the record, and so the token, is gone.
local function delete_run(thread_id, run_id)
  local worker = redis.call('HGET', K.run(run_id), 'worker')
  unclaim(run_id, thread_id, worker)
  redis.call('ZREM', K.thread_waiting(thread_id), run_id)
  forget_run(run_id, thread_id)
  if worker then redis.call('PUBLISH', K.worker_channel(worker), run_id) end
end

-- Delete up to `limit` runs that are neither active nor the thread's entry in the queue: between two such calls the
-- thread works as before. Returns whether more of them are left.
local function delete_idle_runs(thread_id, limit)
  local keep = redis.call('HMGET', K.thread(thread_id), 'active', 'queued')
  for _, run_id in ipairs(redis.call('ZRANGE', K.thread_runs(thread_id), 0, limit + 1)) do
    if run_id ~= keep[1] and run_id ~= keep[2] then delete_run(thread_id, run_id) end
  end
  return redis.call('ZCARD', K.thread_runs(thread_id)) > 2
end
