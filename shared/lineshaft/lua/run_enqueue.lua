-- Create a run on a thread, and the thread too where the caller allows it; put it where its turn will come.
-- USES lib/cancel lib/index lib/memory lib/now lib/queue lib/queues lib/run_index lib/tally lib/thread
-- ARGV run_id thread_id assistant_id queue priority tenant queues graph_queues job doc multitask creates temporary takes_inbox delay metadata leaves parent nested_thread run_config webhook protocol trace events_ttl input_ttl runs_kept max_waiting checkpoint rev ttl_minutes ttl_strategy input...
-- `queue` and `priority` are what the request chooses, or ''; `queues` and `graph_queues` what else decides, see lib/queues.
-- `tenant` is whose share of the queue the run takes.
-- `parent` is the run that this one was asked for from, by a client in one of its nodes, or ''. If it runs, ours must not
-- wait behind it: it goes to `nested_thread` where it names its parent's thread, and to the overflow queue.
-- `input` are slices of the run's input; without any, the caller has written them under K.run_input before, with a TTL.
-- `checkpoint` is one of the root graph's that the run starts from, and that must be there, or ''. `rev` is what the thread's must be, or ''. `webhook` is the URL to
-- call when the run ends, or ''. `protocol` 'v2' says in which form the run's events are wanted, '' in the usual. `trace` is the context of its
-- trace, or ''. `metadata`, `leaves`, `ttl_minutes` and `ttl_strategy` are for a thread that this call creates. `delay` in ms; `events_ttl` and
-- `input_ttl`, how long these outlive the run, too. `temporary` is 1 for a thread that goes with its run, 'listed' if it is
-- found by searches until then.
-- Returns: status, created ms, updated ms, graph id, assistant document, thread metadata, log position, thread id, queue.
-- Refuses: NOTFOUND (thread, assistant, checkpoint), INVALID (the graph does not load; no such queue; nested too deep), CONFLICT (reject on a busy
-- thread), TOOMANY (already wait), FULL (memory), DRAINING (the queue).
local run = K.run(run_id)

local function reply()
  local r = redis.call('HMGET', run, 'status', 'created', 'updated', 'graph', 'amd', 'tmd', 'position', 'thread', 'queue')
  return r
end

-- The same call again after a lost answer.
if redis.call('EXISTS', run) == 1 then
  if #input == 0 and redis.call('HEXISTS', run, 'ended') == 0 then redis.call('PERSIST', K.run_input(run_id)) end
  return reply()
end

local full = refusal_when_full()
if full then return redis.error_reply(full) end

local assistant = redis.call('HMGET', K.assistant(assistant_id), 'doc', 'graph_id', 'queue', 'priority')
if not assistant[1] then return redis.error_reply('NOTFOUND Thread or assistant not found.') end
local graph_id = assistant[2]
local broken = redis.call('HGET', K.graph(graph_id), 'error')
if broken then return redis.error_reply('INVALID Graph ' .. graph_id .. ' does not load: ' .. broken) end

local depth = 0
if parent ~= '' then
  local outer = redis.call('HMGET', K.run(parent), 'status', 'thread', 'depth')
  if outer[1] == 'running' then
    depth = tonumber(outer[3] or 0) + 1
    if depth > MAX_DEPTH then
      return redis.error_reply('INVALID Runs that wait for each other may be nested ' .. MAX_DEPTH .. ' deep; this one would be deeper.')
    end
    queue = OVERFLOW
    if outer[2] == thread_id then thread_id, creates = nested_thread, '1' end
  end
end

-- A nested run has its queue, and is part of one that goes on while that one's queue is drained.
if depth == 0 then
  local refusal
  queue, refusal = choose_queue(queue, assistant[3], graph_id, queues, graph_queues)
  if refusal then return redis.error_reply(refusal) end
end
if priority == '' then priority = assistant[4] or '' end

-- Not of a run that goes to another thread than it names.
if checkpoint ~= '' and depth == 0 and redis.call('HEXISTS', K.checkpoint_headers(thread_id, ''), checkpoint) == 0 then
  return redis.error_reply('NOTFOUND Thread ' .. thread_id .. ' has no checkpoint ' .. checkpoint)
end

local thread = K.thread(thread_id)
if rev ~= '' and (redis.call('HGET', thread, 'rev') or '0') ~= rev then
  return redis.error_reply('CONFLICT Thread ' .. thread_id .. ' has gone on meanwhile.')
end
if redis.call('HEXISTS', thread, 'created') == 0 then
  if creates ~= '1' then return redis.error_reply('NOTFOUND Thread or assistant not found.') end
  create_thread(thread_id, now, metadata, leaves, '', temporary == '1')
  if ttl_strategy ~= '' then set_thread_ttl(thread_id, ttl_minutes, ttl_strategy, now) end
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
    cancel_run(old, thread_id, multitask, reason, true)
  end
  local active = redis.call('HGET', thread, 'active')
  if active then cancel_run(active, thread_id, multitask, reason, true) end
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
  'score', score, 'created', due, 'made', now, 'updated', now, 'status', 'pending', 'epoch', 0, 'doc', doc,
  'events_ttl', events_ttl, 'input_ttl', input_ttl,
  'amd', assistant[1], 'tmd', made[3] or '{}', 'position', (made[4] or '0') .. '-' .. (made[5] or '0'))
if temporary == '1' or temporary == 'listed' then redis.call('HSET', run, 'temporary', '1') end
if depth > 0 then redis.call('HSET', run, 'depth', depth) end
if priority ~= '' and priority ~= '0' then redis.call('HSET', run, 'priority', priority) end
if tenant ~= '' then redis.call('HSET', run, 'tenant', tenant) end
if webhook ~= '' then redis.call('HSET', run, 'webhook', webhook) end
if trace ~= '' then redis.call('HSET', run, 'trace', trace) end
if protocol ~= '' then redis.call('HSET', run, 'protocol', protocol) end
if takes_inbox == '1' then redis.call('HSET', run, 'inbox', '1') end
if #input > 0 then
  for _, slice in ipairs(input) do redis.call('RPUSH', K.run_input(run_id), slice) end
else
  redis.call('PERSIST', K.run_input(run_id))
end
if tonumber(delay) <= 0 then
  -- One that is due later gets its place when it is.
  local band = depth > 0 and band_in_overflow(depth) or band_of_priority(priority ~= '' and priority)
  redis.call('HSET', run, 'place', new_place(queue, band, tenant), 'counted', '1')
end
redis.call('SET', K.job(run_id), job)
redis.call('ZADD', K.thread_waiting(thread_id), score, run_id)
redis.call('ZADD', K.thread_runs(thread_id), score, run_id)
index_open(run_id, queue)
tally('enqueued:' .. queue)

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
      unindex_run(old)
      redis.call('UNLINK', K.run(old), K.run_input(old), K.run_checkpoints(old), K.run_kept_writes(old))
      redis.call('ZREM', K.thread_runs(thread_id), old)
    end
  end
end
return reply()
