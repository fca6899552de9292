-- Give a worker up to `room` due runs, each under a new token; and take over the runs of workers whose lease ran out.
-- FLAGS allow-oom
-- USES lib/now lib/index lib/queue lib/log lib/checkpoints lib/thread_records lib/run_end lib/reap
-- ARGV worker request queue room lease max_crashes
-- `request` names this call: asked again after a lost answer, it returns the runs that it had claimed.
-- Returns: ms until the next run is due (-1: no timer to set), then per run: id, the fields of `FIELDS` in their order,
-- token, attempt, number of input slices, first input slice, list of held messages.
-- Refuses: FENCED when the worker's lease is gone.
local FIELDS = { 'thread', 'graph', 'assistant', 'doc', 'amd', 'tmd', 'created', 'wrote', 'cancel', 'cancel_reason',
  'temporary', 'held', 'crashes', 'status', 'epoch', 'attempt', 'inbox', 'started', 'token' }
local AT = {}
for i, name in ipairs(FIELDS) do AT[name] = i end

local function read(run_id) return redis.call('HMGET', K.run(run_id), unpack(FIELDS)) end

local function answer(run_id, run)
  local held = {}
  if run[AT.held] == '1' then held = redis.call('LRANGE', K.thread_held(run[AT.thread]), 0, -1) end
  return { run_id, run, run[AT.token], tonumber(run[AT.attempt]), redis.call('LLEN', K.run_input(run_id)),
    redis.call('LINDEX', K.run_input(run_id), 0), held }
end

local lease_end = redis.call('ZSCORE', K.workers(), worker)
if not lease_end or tonumber(lease_end) < now then return redis.error_reply('FENCED this worker has lost its lease') end

local out = { -1 }
local before = redis.call('HMGET', K.worker(worker), 'request', 'claimed', 'suspect')
if before[1] == request then
  for run_id in string.gmatch(before[2], '%S+') do
    if redis.call('SISMEMBER', K.worker_runs(worker), run_id) == 1 then out[#out + 1] = answer(run_id, read(run_id)) end
  end
  return out
end

reap_expired(lease, max_crashes)

local function take(run_id, run)
  local thread_id = run[AT.thread]
  local thread = K.thread(thread_id)
  local epoch, attempt = tonumber(run[AT.epoch]) + 1, tonumber(run[AT.attempt] or 0) + 1
  local token = epoch .. '.' .. worker
  -- The inbox goes to a run that brings no input of its own, and only where the thread's state is at rest: a paused
  -- or failed graph would not look at new messages.
  if run[AT.inbox] == '1' and not run[AT.held] and redis.call('HGET', thread, 'status') == 'idle'
    and redis.call('EXISTS', K.thread_inbox(thread_id)) == 1 then
    redis.call('RENAME', K.thread_inbox(thread_id), K.thread_held(thread_id))
    redis.call('HSET', K.run(run_id), 'held', '1')
    run[AT.held] = '1'
  end
  redis.call('HSET', K.run(run_id), 'status', 'running', 'epoch', epoch, 'attempt', attempt, 'token', token,
    'worker', worker, 'updated', now, 'started', run[AT.started] or now, 'batch', 0)
  redis.call('HDEL', thread, 'queued')
  redis.call('HSET', thread, 'active', run_id)
  redis.call('ZREM', K.thread_waiting(thread_id), run_id)
  redis.call('SADD', K.worker_runs(worker), run_id)
  redis.call('SET', K.in_progress(run_id), '1')
  redis.call('ZADD', K.queue(queue), 'XX', now + HIDDEN_MS, run_id)
  redis.call('PERSIST', K.thread_events(thread_id))
  if not run[AT.cancel] then
    append(thread_id, run_id, attempt, { 'metadata', 'd', '{"run_id":"' .. run_id .. '","attempt":' .. attempt .. '}' })
  end
  run[AT.token], run[AT.attempt] = token, attempt
  return answer(run_id, run)
end

-- A run with one strike left is a suspect. A worker executes one of them at a time: then it is clear whose fault the
-- last strike is, and what was beside it by chance goes on.
local function is_suspect(run) return tonumber(run[AT.crashes] or 0) >= tonumber(max_crashes) - 1 end

local holds_suspect = before[3] and redis.call('SISMEMBER', K.worker_runs(worker), before[3]) == 1

room = tonumber(room)
-- A few more than there is room for, so that suspects which must wait do not hide what is behind them.
local due = redis.call('ZRANGEBYSCORE', K.queue(queue), '-inf', now, 'LIMIT', 0, room + 8)
local claimed, waits = {}, false
for _, run_id in ipairs(due) do
  local run = read(run_id)
  if run[AT.status] ~= 'pending' then
    redis.call('ZREM', K.queue(queue), run_id)
  elseif is_suspect(run) and holds_suspect then
    -- Not passed on with a wake token, which would come back at once: its turn is when ours has ended, or with the
    -- next look of a worker that has none.
    waits = true
  elseif #claimed < room then
    if is_suspect(run) then
      holds_suspect = true
      redis.call('HSET', K.worker(worker), 'suspect', run_id)
    end
    claimed[#claimed + 1] = run_id
    out[#out + 1] = take(run_id, run)
  else
    wake(queue)
    break
  end
end
redis.call('HSET', K.worker(worker), 'request', request, 'claimed', table.concat(claimed, ' '))

if #claimed < room and not waits then
  -- One idle worker at a time keeps the timer for the next due run; the others sleep.
  local head = redis.call('ZRANGE', K.queue(queue), 0, 0, 'WITHSCORES')
  if head[1] and tonumber(head[2]) < now + 60000 then
    local at = tonumber(redis.call('GET', K.timer(queue)) or 0)
    local want = tonumber(head[2])
    if at == 0 or want < at or at <= now then
      local wait = math.max(1, math.ceil(want - now))
      redis.call('SET', K.timer(queue), string.format('%.0f', want), 'PX', wait + 500)
      out[1] = wait
    end
  end
end
return out
