-- Create a run on a thread, and the thread too where the caller allows it; put it where its turn will come.
-- USES lib/now lib/index lib/thread lib/queue lib/log lib/checkpoints lib/thread_records lib/run_end lib/cancel
-- ARGV run_id thread_id assistant_id queue job doc multitask creates temporary takes_inbox delay metadata leaves run_config events_ttl input_ttl runs_kept max_waiting input...
-- `input` are slices of the run's input; without any, the caller has written them under K.run_input before, with a TTL.
-- `metadata` and `leaves` are for a thread that this call creates. `delay` in ms; `events_ttl` and
-- `input_ttl`, how long these outlive the run, too.
-- Returns: status, created ms, updated ms, graph id, assistant document, thread metadata, log position.
-- Refuses: NOTFOUND (thread, assistant), INVALID (the graph does not load), CONFLICT (reject on a busy thread),
-- TOOMANY (already wait).
local run, thread = K.run(run_id), K.thread(thread_id)

local function reply()
  local r = redis.call('HMGET', run, 'status', 'created', 'updated', 'graph', 'amd', 'tmd', 'position')
  return r
end

-- The same call again after a lost answer.
if redis.call('EXISTS', run) == 1 then
  if #input == 0 and redis.call('HEXISTS', run, 'ended') == 0 then redis.call('PERSIST', K.run_input(run_id)) end
  return reply()
end

local assistant = redis.call('HMGET', K.assistant(assistant_id), 'doc', 'graph_id')
if not assistant[1] then return redis.error_reply('NOTFOUND Thread or assistant not found.') end
local graph_id = assistant[2]
local broken = redis.call('HGET', K.graph(graph_id), 'error')
if broken then return redis.error_reply('INVALID Graph ' .. graph_id .. ' does not load: ' .. broken) end

if redis.call('HEXISTS', thread, 'created') == 0 then
  if creates ~= '1' then return redis.error_reply('NOTFOUND Thread or assistant not found.') end
  create_thread(thread_id, now, metadata, leaves, '', temporary == '1')
end

local waiting = redis.call('ZCARD', K.thread_waiting(thread_id))
local busy = waiting > 0 or redis.call('HEXISTS', thread, 'active') == 1
if busy and multitask == 'reject' then
  return redis.error_reply('CONFLICT Thread is already running a task. Wait for it to finish or choose a different multitask strategy.')
end
if busy and (multitask == 'interrupt' or multitask == 'rollback') then
  -- The new run takes the place of all that were there: of the one that runs, too, which its worker stops first.
  local reason = 'superseded by run ' .. run_id .. ' (multitask_strategy=' .. multitask .. ')'
  for _, old in ipairs(redis.call('ZRANGE', K.thread_waiting(thread_id), 0, -1)) do
    cancel_run(old, thread_id, multitask, reason)
  end
  local active = redis.call('HGET', thread, 'active')
  if active then cancel_run(active, thread_id, multitask, reason) end
  waiting = redis.call('ZCARD', K.thread_waiting(thread_id))
end
if waiting >= tonumber(max_waiting) then
  return redis.error_reply('TOOMANY ' .. waiting .. ' runs already wait on this thread (limit ' .. max_waiting .. ').')
end

-- Runs made in one millisecond keep their order: thousandths count them.
local due = now + tonumber(delay)
local made = redis.call('HMGET', thread, 'made_ms', 'made_n', 'metadata', 'log_ms', 'log_n')
local n = tonumber(made[1] or 0) == due and tonumber(made[2] or 0) + 1 or 0
local score = string.format('%.3f', due + math.min(n, 999) / 1000)
redis.call('HSET', run, 'thread', thread_id, 'graph', graph_id, 'assistant', assistant_id, 'queue', queue,
  'score', score, 'created', due, 'updated', now, 'status', 'pending', 'epoch', 0, 'doc', doc,
  'events_ttl', events_ttl, 'input_ttl', input_ttl,
  'amd', assistant[1], 'tmd', made[3] or '{}', 'position', (made[4] or '0') .. '-' .. (made[5] or '0'))
if temporary == '1' then redis.call('HSET', run, 'temporary', '1') end
if takes_inbox == '1' then redis.call('HSET', run, 'inbox', '1') end
if #input > 0 then
  for _, slice in ipairs(input) do redis.call('RPUSH', K.run_input(run_id), slice) end
else
  redis.call('PERSIST', K.run_input(run_id))
end
redis.call('SET', K.job(run_id), job)
redis.call('ZADD', K.thread_waiting(thread_id), score, run_id)
redis.call('ZADD', K.thread_runs(thread_id), score, run_id)

redis.call('HSET', thread, 'made_ms', due, 'made_n', n, 'run_config', run_config)
set_thread_graph(thread_id, graph_id, assistant_id)
touch_thread(thread_id, now)
admit(thread_id)
set_thread_status(thread_id)

-- A thread keeps its newest runs; only ended ones may go.
local extra = redis.call('ZCARD', K.thread_runs(thread_id)) - tonumber(runs_kept)
if extra > 0 then
  for _, old in ipairs(redis.call('ZRANGE', K.thread_runs(thread_id), 0, math.min(extra, 10) - 1)) do
    if redis.call('HEXISTS', K.run(old), 'ended') == 1 then
      redis.call('UNLINK', K.run(old), K.run_input(old), K.run_checkpoints(old), K.run_kept_writes(old))
      redis.call('ZREM', K.thread_runs(thread_id), old)
    end
  end
end
return reply()
