-- Which queues there are, which of them a run goes to, and what operators have ordered for them (queue_control.lua).
-- USES lib/now lib/queue

-- What was ordered for the queues of `rooms` (pairs of queue and room).
local function states_of(rooms)
  local queues, states = {}, {}
  for i = 1, #rooms, 2 do queues[#queues + 1] = rooms[i] end
  local found = redis.call('HMGET', K.queues(), unpack(queues))
  for i, queue in ipairs(queues) do states[queue] = found[i] end
  return states
end

-- The queue of a new run, or nil and the refusal: its own choice, else its assistant's, else its graph's, else `runs`.
-- `queues` has a line for each that there is, and `graph_queues` one with graph, tab and queue; both begin with an empty one.
-- A queue that is used for the first time is noted.
local function choose_queue(own, assistants, graph_id, queues, graph_queues)
  local queue = own ~= '' and own or assistants or ''
  if queue == '' then
    local _, at = string.find(graph_queues, '\n' .. graph_id .. '\t', 1, true)
    queue = at and string.match(graph_queues, '[^\n]+', at + 1) or 'runs'
  elseif not string.find(queues, '\n' .. queue .. '\n', 1, true) then
    -- The assistant is older than the present configuration; what a request says was checked before.
    local names = string.gsub(string.match(queues, '^\n(.*)\n$'), '\n', ', ')
    return nil, 'INVALID There is no queue ' .. queue .. ', which the assistant asks for. Queues: ' .. names
  end
  local state = redis.call('HGET', K.queues(), queue)
  if not state then redis.call('HSET', K.queues(), queue, 'open') end
  if state == 'draining' then
    return nil, 'DRAINING Queue ' .. queue .. ' is being drained: it takes no new runs until it is resumed. Its runs go on.'
  end
  return queue
end

-- What a worker is told that takes no runs: all of its queues are left to others, and one of those is woken.
local function leave_all(rooms)
  local header, states = { -1 }, states_of(rooms)
  for i = 1, #rooms, 2 do
    header[#header + 1] = rooms[i]
    if states[rooms[i]] ~= 'paused' and redis.call('ZCOUNT', K.line(rooms[i]), '-inf', '(' .. now + 1) > 0 then wake(rooms[i]) end
  end
  return { header }
end
