-- Runs of workers that died. Needs lib/now, lib/index, lib/queue, lib/log, lib/run_end.

-- A run that `max_crashes` workers could not bring to an end ends as an error and is kept as a dead letter.
local function bury(run_id, thread_id, crashes)
  local run = redis.call('HMGET', K.run(run_id), 'graph', 'wrote')
  local message = 'The worker died, or failed, ' .. crashes .. ' times while it executed this run.'
  local error = '{"error":"WorkerCrashed","message":"' .. message .. '"}'
  redis.call('XADD', K.dead(), 'MAXLEN', '~', 10000, '*', 'run', run_id, 'thread', thread_id, 'graph', run[1], 'crashes', crashes)
  redis.call('HSET', K.run(run_id), 'error', error)
  redis.call('HSET', K.thread(thread_id), 'status', 'error')
  redis.call('HSET', K.thread_snapshot(thread_id), 'error', error)
  settle_held(run_id, thread_id, run[2] == '1')
  end_run(run_id, thread_id, 'error', false, { 'error', 'd', error })
end

-- Take a run from a worker that could not bring it to an end, which counts against it.
local function take_back(run_id, thread_id, max_crashes)
  local crashes = redis.call('HINCRBY', K.run(run_id), 'crashes', 1)
  if crashes >= tonumber(max_crashes) then bury(run_id, thread_id, crashes) else requeue(run_id) end
end

-- Take every run from a worker. `crashed`: it died with them, which counts against each.
local function release_worker(worker, crashed, max_crashes)
  local runs = redis.call('SMEMBERS', K.worker_runs(worker))
  for _, run_id in ipairs(runs) do
    local thread_id = redis.call('HGET', K.run(run_id), 'thread')
    if not thread_id then
      redis.call('SREM', K.worker_runs(worker), run_id)
    elseif redis.call('HEXISTS', K.run(run_id), 'lock') == 1 then
      unlock(run_id)
      set_thread_status(thread_id)
    elseif crashed then
      take_back(run_id, thread_id, max_crashes)
    else
      redis.call('HINCRBY', K.run(run_id), 'attempt', -1)
      requeue(run_id)
    end
  end
  redis.call('ZREM', K.workers(), worker)
  redis.call('UNLINK', K.worker(worker))
  return #runs
end

-- Release workers whose lease ran out, one per call (each holds a bounded number of runs). After a silence of the whole
-- fleet it was Redis that was away: then nobody is reaped for one lease, so that owners can renew first.
local function reap_expired(lease, max_crashes)
  local beat = tonumber(redis.call('GET', K.beat()) or now)
  if now - beat > tonumber(lease) * 0.6 then redis.call('SET', K.grace(), '1', 'PX', lease) end
  if redis.call('EXISTS', K.grace()) == 1 then return end
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', K.workers(), '-inf', now, 'LIMIT', 0, 1)) do
    release_worker(worker, true, max_crashes)
  end
end
