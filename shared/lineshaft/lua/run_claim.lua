-- Give a worker up to `room` due runs, each under a new token; and take over the runs of workers whose lease ran out.
-- FLAGS allow-oom
-- USES lib/now lib/index lib/queue lib/log lib/run_end lib/reap
-- ARGV worker request queue room lease max_crashes events_ttl input_ttl
-- `request` names this call: asked again after a lost answer, it returns the runs that it had claimed.
-- Returns: ms until the next run is due (-1: no timer to set), then per run a list of fields in the order of `FIELDS`,
-- followed by token, attempt, number of input slices, first input slice, list of held messages.
-- Refuses: FENCED when the worker's lease is gone.
local FIELDS = { 'thread', 'graph', 'assistant', 'doc', 'amd', 'tmd', 'created', 'wrote', 'cancel', 'cancel_reason', 'temporary', 'held', 'crashes' }

local function answer(run_id)
  local fields = redis.call('HMGET', K.run(run_id), unpack(FIELDS))
  local more = redis.call('HMGET', K.run(run_id), 'token', 'attempt')
  local held = {}
  if fields[12] == '1' then held = redis.call('LRANGE', K.thread_held(fields[1]), 0, -1) end
  return { run_id, fields, more[1], tonumber(more[2]), redis.call('LLEN', K.run_input(run_id)),
    redis.call('LINDEX', K.run_input(run_id), 0), held }
end

local lease_end = redis.call('ZSCORE', K.workers(), worker)
if not lease_end or tonumber(lease_end) < now then return redis.error_reply('FENCED this worker has lost its lease') end

local out = { -1 }
local before = redis.call('HMGET', K.worker(worker), 'request', 'claimed')
if before[1] == request then
  for run_id in string.gmatch(before[2], '%S+') do
    if redis.call('SISMEMBER', K.worker_runs(worker), run_id) == 1 then out[#out + 1] = answer(run_id) end
  end
  return out
end

reap_expired(lease, max_crashes, events_ttl, input_ttl)

local function take(run_id, thread_id)
  local run, thread = K.run(run_id), K.thread(thread_id)
  local token = redis.call('HINCRBY', run, 'epoch', 1) .. '.' .. worker
  local attempt = redis.call('HINCRBY', run, 'attempt', 1)
  redis.call('HSET', run, 'status', 'running', 'token', token, 'worker', worker, 'updated', now)
  redis.call('HSETNX', run, 'started', now)
  redis.call('HDEL', run, 'batch')
  redis.call('HDEL', thread, 'queued')
  redis.call('HSET', thread, 'active', run_id)
  redis.call('ZREM', K.thread_waiting(thread_id), run_id)
  redis.call('SADD', K.worker_runs(worker), run_id)
  redis.call('SET', K.in_progress(run_id), '1')
  redis.call('ZADD', K.queue(queue), 'XX', now + HIDDEN_MS, run_id)
  -- The inbox goes to a run that brings no input of its own, and only where the thread's state is at rest: a paused
  -- or failed graph would not look at new messages.
  local wants = redis.call('HMGET', run, 'inbox', 'held')
  if wants[1] == '1' and not wants[2] and redis.call('HGET', thread, 'status') == 'idle'
    and redis.call('EXISTS', K.thread_inbox(thread_id)) == 1 then
    redis.call('RENAME', K.thread_inbox(thread_id), K.thread_held(thread_id))
    redis.call('HSET', run, 'held', '1')
  end
  redis.call('PERSIST', K.thread_events(thread_id))
  if redis.call('HEXISTS', run, 'cancel') == 0 then
    append(thread_id, run_id, attempt, { 'metadata', 'd', '{"run_id":"' .. run_id .. '","attempt":' .. attempt .. '}' })
  end
end

room = tonumber(room)
local due = redis.call('ZRANGEBYSCORE', K.queue(queue), '-inf', now, 'LIMIT', 0, room + 1)
local claimed = {}
for i, run_id in ipairs(due) do
  local run = redis.call('HMGET', K.run(run_id), 'status', 'thread')
  if run[1] ~= 'pending' then
    redis.call('ZREM', K.queue(queue), run_id)
  elseif #claimed < room then
    take(run_id, run[2])
    claimed[#claimed + 1] = run_id
    out[#out + 1] = answer(run_id)
  else
    wake(queue)
  end
end
redis.call('HSET', K.worker(worker), 'request', request, 'claimed', table.concat(claimed, ' '))

if #claimed < room then
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
