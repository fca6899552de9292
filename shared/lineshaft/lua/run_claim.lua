-- Give a worker due runs, each under a new token; and take over the runs of workers whose lease ran out.
-- FLAGS allow-oom
-- USES lib/limits lib/line lib/log lib/now lib/queue lib/queues lib/reap lib/turns
-- ARGV worker request lease max_crashes limits shares rooms...
-- `rooms` are pairs: a queue, and how many of its runs the worker has room for. All queues but the overflow queue share one
-- room, so theirs are the same. `shares` has a line for each of these that says how they share it: name, weight, how many
-- of its runs the worker holds, how far it was served (see lib/turns); '' if there is only one. `limits` see lib/limits.
-- `request` names this call: asked again after a lost answer, it returns the runs that it had claimed.
-- Returns: a list of ms until the next run is due (-1: no timer to set) and of the queues in which due runs had to be
-- left although there was room; then per run: id, the fields of `FIELDS` in their order, token, attempt, number of input
-- slices, first input slice, list of held messages.
-- Refuses: FENCED when the worker's lease is gone.
local FIELDS = { 'thread', 'graph', 'assistant', 'doc', 'amd', 'tmd', 'created', 'wrote', 'cancel', 'cancel_reason',
  'temporary', 'dead', 'error', 'queue', 'protocol', 'crashes', 'started', 'ready', 'began',
  'trace', 'held', 'status', 'epoch', 'attempt', 'inbox', 'token', 'depth', 'place', 'counted', 'score', 'not_before',
  'priority', 'tenant', 'bearer' }
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

local header = { -1 }
local out = { header }
local before = redis.call('HMGET', K.worker(worker), 'request', 'claimed', 'suspect', 'drained')
if before[1] == request then
  for run_id in string.gmatch(before[2], '%S+') do
    if redis.call('SISMEMBER', K.worker_runs(worker), run_id) == 1 then out[#out + 1] = answer(run_id, read(run_id)) end
  end
  return out
end

reap_expired(lease, max_crashes)
if before[4] then return leave_all(rooms) end -- drained by an operator

-- Nothing of it is to be executed any more, see must_settle.
local function settles(run) return run[AT.cancel] or run[AT.dead] end

local function take(run_id, run)
  local thread_id = run[AT.thread]
  local thread = K.thread(thread_id)
  local epoch, attempt = tonumber(run[AT.epoch]) + 1, tonumber(run[AT.attempt] or 0)
  if not settles(run) then attempt = attempt + 1 end
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
    'worker', worker, 'updated', now, 'started', run[AT.started] or now, 'began', now, 'batch', 0,
    -- Which code it ran on, for whoever looks at it later.
    'revision', redis.call('HGET', K.worker(worker), 'graph:' .. run[AT.graph]) or '')
  redis.call('HDEL', thread, 'queued')
  redis.call('HSET', thread, 'active', run_id)
  redis.call('ZREM', K.thread_waiting(thread_id), run_id)
  redis.call('SADD', K.worker_runs(worker), run_id)
  redis.call('SET', K.in_progress(run_id), '1')
  redis.call('ZADD', K.queue(run[AT.queue]), 'XX', now + HIDDEN_MS, run_id)
  redis.call('PERSIST', K.thread_events(thread_id))
  if not settles(run) then
    append(thread_id, run_id, attempt, { 'metadata', 'd', '{"run_id":"' .. run_id .. '","attempt":' .. attempt .. '}' })
  end
  run[AT.token], run[AT.attempt] = token, attempt
  run[AT.began], run[AT.started] = now, run[AT.started] or now
  return answer(run_id, run)
end

-- A run with one strike left is a suspect. A worker executes one of them at a time: then it is clear whose fault the
-- last strike is, and what was beside it by chance goes on.
local function is_suspect(run)
  return tonumber(run[AT.crashes] or 0) >= tonumber(max_crashes) - 1 and not settles(run)
end
local holds_suspect = before[3] and redis.call('SISMEMBER', K.worker_runs(worker), before[3]) == 1

-- A nested run leaves a slot free for each level below its own: so the deepest of those that wait for each other always
-- finds one, and the others do not wait for ever.
local function slots_kept_free(run)
  if not run[AT.depth] or settles(run) then return 0 end
  return MAX_DEPTH - tonumber(run[AT.depth])
end

-- One idle worker at a time keeps the timer for the next due run (`want`, ms); the others sleep.
local function set_timer(queue, want)
  if not want or want >= now + 60000 then return end
  local at = tonumber(redis.call('GET', K.timer(queue)) or 0)
  if at ~= 0 and want >= at and at > now then return end
  local wait = math.max(1, math.ceil(want - now))
  redis.call('SET', K.timer(queue), string.format('%.0f', want), 'PX', wait + 500)
  if header[1] == -1 or wait < header[1] then header[1] = wait end
end

local limits_of = read_limits(limits)

-- What limits the run: what others wait for, and what is only to be settled, nothing does.
local function causes_of(queue, run)
  local causes = {}
  if queue == OVERFLOW then return causes end
  if limits_of.tenant then causes[#causes + 1] = 'tenant ' .. (run[AT.tenant] or '') end
  local of_graph = 'graph ' .. run[AT.graph]
  if limits_of[of_graph] then causes[#causes + 1] = of_graph end
  return causes
end

local function cause_without_slot(causes)
  for _, cause in ipairs(causes) do
    if not has_slot(limits_of, cause) then return cause end
  end
end

local function take_slots(run_id, run, queue, causes)
  for _, cause in ipairs(causes) do
    redis.call('SADD', K.holders(cause), run_id)
    redis.call('SADD', K.limited(), cause)
  end
  if #causes > 0 then redis.call('HSET', K.run(run_id), 'slots', table.concat(causes, '\n')) end
  -- More slots than calls are free where the limit was raised, or taken away.
  local bearer = run[AT.bearer]
  if bearer and has_slot(limits_of, bearer) then call_back_parked(queue, bearer) end
end

-- Runs that one call looks at beyond those that it takes: to park so many takes Redis less than a millisecond.
local extra = 50
local claimed = {}

-- Claim from some queues that share a room.
local function claim_from(lines, room)
  while #lines > 0 do
    local turn = next_turn(lines)
    local line = lines[turn]
    local run_id, run = first_of(line, read, AT)
    local causes = run and causes_of(line.queue, run)
    local cause = run and room > 0 and cause_without_slot(causes)
    if not run_id or room == 0 or extra == 0 then
      -- What is left must wait, for us, until a run of ours has ended; another worker may take it now.
      if line.is_left then header[#header + 1] = line.queue end
      if line.is_left or run_id then
        wake(line.queue)
      elseif room > 0 then
        set_timer(line.queue, line.next_due)
      end
      table.remove(lines, turn)
    elseif is_suspect(run) and holds_suspect or room <= slots_kept_free(run) then
      line.is_left = true
      extra = extra - 1
      pass_by(line)
    elseif cause then
      extra = extra - 1
      park(run_id, line.queue, run[AT.place], cause, run[AT.bearer])
      go_on(line)
    else
      if is_suspect(run) then
        holds_suspect = true
        redis.call('HSET', K.worker(worker), 'suspect', run_id)
      end
      room = room - 1
      claimed[#claimed + 1] = run_id
      redis.call('ZREM', K.line(line.queue), run_id)
      if run[AT.counted] then uncount(line.queue, run[AT.place], run[AT.tenant], true) end
      redis.call('HDEL', K.run(run_id), 'counted', 'bearer')
      take_slots(run_id, run, line.queue, causes)
      out[#out + 1] = take(run_id, run)
      go_on(line)
      line.held, line.served = line.held + 1, line.served + 1 / line.weight
    end
  end
end

local shared, room_of_all = {}, 0
local states = states_of(rooms)
for i = 1, #rooms, 2 do
  local queue, room = rooms[i], tonumber(rooms[i + 1])
  if states[queue] ~= 'paused' then
    local line = open_line(queue, room, shares)
    if queue == OVERFLOW then
      claim_from({ line }, room)
    else
      shared[#shared + 1], room_of_all = line, room
    end
  end
end
claim_from(shared, room_of_all)
redis.call('HSET', K.worker(worker), 'request', request, 'claimed', table.concat(claimed, ' '))
return out
