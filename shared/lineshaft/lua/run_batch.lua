-- Create runs on threads of their own: all of them, or none.
-- USES lib/memory lib/queues
-- CALLS run_enqueue
-- ARGV assistants width orders...
-- `assistants` are the ids of all that are asked for, joined by spaces. `orders` are the arguments of run_enqueue.lua, `width`
-- of them for each run, the last of which is its whole input, or '' where the caller has written that before.
-- Returns the answers of run_enqueue.lua, in order. Refuses: NOTFOUND <assistant id>, INVALID (a graph does not load; no such queue),
-- FULL (memory), DRAINING (the queue).

-- The same call again after a lost answer finds its runs, whatever has changed since. (An order begins with a run's id.)
if redis.call('EXISTS', K.run(orders[1])) == 0 then
  -- All that could refuse one of them, before the first is made: nothing changes while a script runs.
  local full = refusal_when_full()
  if full then return redis.error_reply(full) end
  for assistant_id in string.gmatch(assistants, '[^ ]+') do
    local graph_id = redis.call('HGET', K.assistant(assistant_id), 'graph_id')
    if not graph_id then return redis.error_reply('NOTFOUND ' .. assistant_id) end
    local broken = redis.call('HGET', K.graph(graph_id), 'error')
    if broken then return redis.error_reply('INVALID Graph ' .. graph_id .. ' does not load: ' .. broken) end
  end
  for i = 1, #orders, tonumber(width) do
    local assistant_id, queue, _, _, queues, graph_queues = unpack(orders, i + 2, i + 7)
    local assistant = redis.call('HMGET', K.assistant(assistant_id), 'queue', 'graph_id')
    local _, refusal = choose_queue(queue, assistant[1], assistant[2], queues, graph_queues)
    if refusal then return redis.error_reply(refusal) end
  end
end

local answers = {}
for i = 1, #orders, tonumber(width) do
  local order = { unpack(orders, i, i + width - 1) }
  order[#order] = order[#order] ~= '' and { order[#order] } or {}
  answers[#answers + 1] = run_enqueue(unpack(order))
end
return answers
