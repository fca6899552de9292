-- Where operators find runs: all that have not ended, and those that did lately. The reconciler trims the latter.
-- USES lib/now

local function index_open(run_id, queue)
  redis.call('ZADD', K.runs_open(), 'NX', now, run_id)
  redis.call('SADD', K.runs_open_in(queue), run_id)
end

-- The run goes on in another queue. Its `home` is the one that it was made for.
local function change_queue(run_id, queue)
  local before = redis.call('HGET', K.run(run_id), 'queue')
  if before and before ~= queue then
    redis.call('SMOVE', K.runs_open_in(before), K.runs_open_in(queue), run_id)
    redis.call('HSETNX', K.run(run_id), 'home', before)
  end
  redis.call('HSET', K.run(run_id), 'queue', queue)
end

-- Before its record goes, which knows the queue.
local function unindex_run(run_id)
  local queue = redis.call('HGET', K.run(run_id), 'queue')
  if queue then redis.call('SREM', K.runs_open_in(queue), run_id) end
  for _, index in ipairs({ K.runs_open(), K.runs_ended(), K.runs_failed() }) do redis.call('ZREM', index, run_id) end
end

local function index_ended(run_id, queue, status)
  redis.call('ZREM', K.runs_open(), run_id)
  redis.call('SREM', K.runs_open_in(queue), run_id)
  redis.call('ZADD', K.runs_ended(), now, run_id)
  if status == 'error' or status == 'timeout' then redis.call('ZADD', K.runs_failed(), now, run_id) end
end
