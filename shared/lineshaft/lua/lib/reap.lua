-- Runs of workers that died.
-- USES lib/attempts lib/graphs lib/index lib/now lib/queue lib/rollback lib/run_end lib/tally

-- A run whose settling, too, so many workers died with is ended without one.
local SETTLING = 3

-- End a run that cannot even be settled by a worker (its graph's factory kills them): the thread shows what it showed
-- before, and a question for its state finds what the run has stored.
local function end_unsettled(run_id, thread_id)
  local run = redis.call('HMGET', K.run(run_id), 'cancel', 'error')
  local rolled_back = run[1] == 'rollback'
  redis.call('HDEL', K.run(run_id), 'token') -- it did not end the run: what its worker says later is refused
  if rolled_back then
    roll_back(run_id, math.huge)
  end
  settle_held(run_id, thread_id, redis.call('EXISTS', K.run_checkpoints(run_id)) == 1 and not rolled_back)
  if run[1] then
    call_back(run_id, thread_id, rolled_back and 'rollback' or 'interrupted', '', '')
    return end_run(run_id, thread_id, 'interrupted', rolled_back, {})
  end
  redis.call('HSET', K.thread(thread_id), 'status', 'error')
  redis.call('HSET', K.thread_snapshot(thread_id), 'error', run[2])
  call_back(run_id, thread_id, 'error', run[2], '')
  end_run(run_id, thread_id, 'error', false, { 'error', 'd', run[2] })
end

-- Take a run from a worker that could not bring it to an end, which counts against it. One that `max_crashes` workers
-- could not is kept as a dead letter: it is not executed again, only settled.
local function take_back(run_id, thread_id, max_crashes)
  if must_settle(run_id) then
    local gives_up = redis.call('HINCRBY', K.run(run_id), 'unsettled', 1) >= SETTLING
    tally(gives_up and 'recovered:ended' or 'recovered:settled')
    if gives_up then return end_unsettled(run_id, thread_id) end
    return requeue(run_id)
  end
  local crashes = redis.call('HINCRBY', K.run(run_id), 'crashes', 1)
  tally(crashes >= tonumber(max_crashes) and 'recovered:dead_letter' or 'recovered:retried')
  if crashes >= tonumber(max_crashes) then
    local message = 'The worker died, or failed, ' .. crashes .. ' times while it executed this run.'
    redis.call('XADD', K.dead(), 'MAXLEN', '~', 10000, '*', 'run', run_id, 'thread', thread_id,
      'graph', redis.call('HGET', K.run(run_id), 'graph'), 'crashes', crashes)
    redis.call('HSET', K.run(run_id), 'dead', '1', 'error_class', 'WorkerCrashed', 'error', '{"error":"WorkerCrashed","message":"' .. message .. '"}')
  end
  requeue(run_id)
end

-- Take every run from a worker. `crashed`: it died with them, which counts against each. `reason` is what operators read.
local function release_worker(worker, crashed, max_crashes, reason)
  local runs = redis.call('SMEMBERS', K.worker_runs(worker))
  for _, run_id in ipairs(runs) do
    local thread_id = redis.call('HGET', K.run(run_id), 'thread')
    if not thread_id then
      redis.call('SREM', K.worker_runs(worker), run_id)
    elseif redis.call('HEXISTS', K.run(run_id), 'lock') == 1 then
      unlock(run_id)
      set_thread_status(thread_id)
    else
      close_attempt(run_id, reason)
      if crashed then take_back(run_id, thread_id, max_crashes) else give_back(run_id) end
    end
  end
  local graph_ids = graphs_of(worker)
  redis.call('ZREM', K.workers(), worker)
  redis.call('UNLINK', K.worker(worker))
  for _, graph_id in ipairs(graph_ids) do choose_revision(graph_id) end
  return #runs
end

-- Release workers whose lease ran out, one per call (each holds a bounded number of runs). After a silence of the whole
-- fleet it was Redis that was away: then nobody is reaped for one lease, so that owners can renew first.
local function reap_expired(lease, max_crashes)
  local beat = tonumber(redis.call('GET', K.beat()) or '')
  -- Without a beat it was away for so long that even this has expired; or there has never been a worker.
  local was_away
  if beat then was_away = now - beat > tonumber(lease) * 0.45
  else was_away = redis.call('ZCOUNT', K.workers(), '-inf', now) > 0 end
  if was_away then redis.call('SET', K.grace(), '1', 'PX', lease) end
  if redis.call('EXISTS', K.grace()) == 1 then return end
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', K.workers(), '-inf', now, 'LIMIT', 0, 1)) do
    release_worker(worker, true, max_crashes, 'lease lost')
  end
end
