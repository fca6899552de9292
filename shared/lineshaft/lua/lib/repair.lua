-- Finding and mending what should not be: after an operator's hand, a bug, or a failover that lost a write. Every
-- transition is one script, so what is inconsistent between two scripts is wrong.
-- USES lib/attempts lib/index lib/log lib/queue lib/reap lib/run_end lib/run_index lib/thread_records

-- Runs of a thread that are looked at, the newest ones: more than may wait on it.
local NEWEST = 120

local repairs = {}
local function repaired(kind, thread_id)
  repairs[#repairs + 1] = kind
  repairs[#repairs + 1] = thread_id
  redis.call('HINCRBY', K.repairs(), kind, 1)
end

local function is_over(status) return status ~= 'pending' and status ~= 'running' end

-- The active slot is held by a run that is gone, over, not claimed, or held by no living worker.
local function repair_active(thread_id, max_crashes)
  local thread = K.thread(thread_id)
  local run_id = redis.call('HGET', thread, 'active')
  if not run_id then return end
  local run = redis.call('HMGET', K.run(run_id), 'status', 'worker', 'lock', 'thread')
  local lives = run[2] and redis.call('ZSCORE', K.workers(), run[2])
  if run[3] then
    if lives then return end
    unlock(run_id)
    repaired('state change of a dead worker', thread_id)
  elseif run[4] ~= thread_id or is_over(run[1]) or run[1] == 'pending' then
    redis.call('HDEL', thread, 'active')
    repaired('thread busy without a run', thread_id)
  elseif not lives then
    close_attempt(run_id, 'worker died')
    take_back(run_id, thread_id, max_crashes)
    repaired('run of a dead worker', thread_id)
  elseif redis.call('SADD', K.worker_runs(run[2]), run_id) == 1 then
    repaired('run that its worker was not known to hold', thread_id)
  end
end

-- Runs that stand in no queue, and places of runs that are gone or over.
local function repair_waiting(thread_id)
  local waiting = K.thread_waiting(thread_id)
  for _, run_id in ipairs(redis.call('ZRANGE', waiting, 0, -1)) do
    if redis.call('HGET', K.run(run_id), 'status') ~= 'pending' then
      redis.call('ZREM', waiting, run_id)
      repaired('place of a run that does not wait', thread_id)
    end
  end
  local active = redis.call('HGET', K.thread(thread_id), 'active')
  for _, run_id in ipairs(redis.call('ZREVRANGE', K.thread_runs(thread_id), 0, NEWEST - 1)) do
    local run = redis.call('HMGET', K.run(run_id), 'status', 'score', 'queue')
    if run[1] and not is_over(run[1]) and not redis.call('ZSCORE', K.runs_open(), run_id) then
      index_open(run_id, run[3])
      repaired('run in no index', thread_id)
    end
    if not run[1] then
      redis.call('ZREM', K.thread_runs(thread_id), run_id)
      repaired('run without a record', thread_id)
    elseif run_id ~= active and run[1] == 'running' then
      close_attempt(run_id, 'lost')
      requeue(run_id)
      repaired('running run without its thread', thread_id)
    elseif run[1] == 'pending' and not redis.call('ZSCORE', waiting, run_id) then
      redis.call('ZADD', waiting, run[2], run_id)
      repaired('pending run in no queue', thread_id)
    end
  end
end

-- The thread's entry in the queue is its first waiting run.
local function repair_queue(thread_id)
  local thread = K.thread(thread_id)
  local state = redis.call('HMGET', thread, 'active', 'queued')
  local head = redis.call('ZRANGE', K.thread_waiting(thread_id), 0, 0)[1]
  local queue = head and redis.call('HGET', K.run(head), 'queue')
  local wrong = state[2] and (state[1] or state[2] ~= head)
  if head and not state[1] then
    local parked = redis.call('HGET', K.run(head), 'parked')
    local stands = parked and redis.call('ZSCORE', K.parked(queue, parked), head) or redis.call('ZSCORE', K.line(queue), head)
    wrong = wrong or not state[2] or not stands or not redis.call('ZSCORE', K.queue(queue), head)
  end
  if not wrong then return end
  if state[2] and state[2] ~= head then leave_queue(state[2], true) end
  if head then leave_queue(head, true) end
  redis.call('HDEL', thread, 'queued')
  admit(thread_id)
  repaired('thread whose turn nobody would see', thread_id)
end

-- What clients read of a thread at rest: its status, an end in its log, its messages.
local function repair_shown(thread_id)
  local thread = K.thread(thread_id)
  local before = redis.call('HGET', thread, 'shown')
  local status = set_thread_status(thread_id)
  local is_indexed = redis.call('HEXISTS', thread, 'temporary') == 1
    or redis.call('SISMEMBER', K.threads_with_status(status), thread_id) == 1
  if not is_indexed then index_add(K.threads_with_status(status), thread_id) end
  if before ~= status or not is_indexed then repaired('status of a thread', thread_id) end
  if status == 'busy' then return end

  local log = K.thread_events(thread_id)
  local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if last then
    local entry = {}
    for i = 1, #last[2], 2 do entry[last[2][i]] = last[2][i + 1] end
    if entry.e ~= 'end' and entry.e ~= 'state_update' then
      local run = redis.call('HMGET', K.run(entry.r), 'status', 'error')
      local failed = entry.e ~= 'error' and run[2] and (run[1] == 'error' or run[1] == 'timeout')
      -- Those who follow the run are told why it failed by an entry before the last, as always.
      local ending = failed and { 'error', 'd', run[2] } or {}
      for _, part in ipairs({ 'end', 'd', '"' .. (run[1] or 'error') .. '"' }) do ending[#ending + 1] = part end
      append(thread_id, entry.r, entry.a, ending)
      repaired('stream without an end', thread_id)
    end
    if redis.call('PTTL', log) == -1 then
      local ttl = tonumber(redis.call('HGET', thread, 'log_ttl') or 0)
      redis.call('PEXPIRE', log, string.format('%.0f', math.max(ttl, 300000)))
      repaired('stream that would stay for ever', thread_id)
    end
  end

  if redis.call('EXISTS', K.thread_held(thread_id)) == 1 then
    while redis.call('LMOVE', K.thread_held(thread_id), K.thread_inbox(thread_id), 'RIGHT', 'LEFT') do end
    repaired('messages that nobody held', thread_id)
  end
end

local function repair_thread(thread_id, max_crashes)
  local thread = redis.call('HMGET', K.thread(thread_id), 'created', 'temporary')
  if not thread[1] then
    local removed = unindex_thread(thread_id)
    for _, status in ipairs({ 'idle', 'busy', 'interrupted', 'error' }) do
      removed = removed + redis.call('SREM', K.threads_with_status(status), thread_id)
    end
    -- A thread that was deleted in order since it was chosen stands in none.
    if removed > 0 then repaired('index of a thread that is gone', thread_id) end
    return
  end
  repair_active(thread_id, max_crashes)
  repair_waiting(thread_id)
  repair_queue(thread_id)
  local is_idle = redis.call('HEXISTS', K.thread(thread_id), 'active') == 0
    and redis.call('EXISTS', K.thread_waiting(thread_id)) == 0
  if thread[2] and is_idle then
    for _, run_id in ipairs(redis.call('ZRANGE', K.thread_runs(thread_id), 0, -1)) do forget_run(run_id, thread_id) end
    delete_thread_records(thread_id)
    redis.call('UNLINK', K.thread_events(thread_id))
    return repaired('orphaned temporary thread', thread_id)
  end
  repair_shown(thread_id)
end
