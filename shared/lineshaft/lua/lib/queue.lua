-- The queue and the order of a thread's runs. Needs lib/now.
--
-- A run that is not claimed stands in its thread's `waiting` set. Only the earliest one also stands in the queue, and
-- only while the thread has no active run: so a thread never runs two at once, and a claim looks at one entry a thread.

-- A claimed run keeps its queue entry (arq's Job.status reads it), scored out of the range that is due.
local HIDDEN_MS = 86400000 * 3650

-- One token rests in the list at most; the worker that pops it looks for work and, if there is more, wakes the next.
local function wake(queue)
  if redis.call('LLEN', K.wake(queue)) == 0 then redis.call('RPUSH', K.wake(queue), '1') end
end

local function leave_queue(run_id)
  local queue = redis.call('HGET', K.run(run_id), 'queue')
  if queue then redis.call('ZREM', K.queue(queue), run_id) end
end

-- Put the thread's earliest waiting run into the queue, unless a run is active.
local function admit(thread_id)
  local thread = K.thread(thread_id)
  local state = redis.call('HMGET', thread, 'active', 'queued')
  if state[1] then return end
  local head = redis.call('ZRANGE', K.thread_waiting(thread_id), 0, 0, 'WITHSCORES')
  if state[2] and state[2] ~= head[1] then leave_queue(state[2]) end
  if not head[1] then
    redis.call('HDEL', thread, 'queued')
    return
  end
  local run = redis.call('HMGET', K.run(head[1]), 'queue', 'not_before')
  local due = head[2]
  if run[2] and tonumber(run[2]) > tonumber(due) then due = run[2] end
  redis.call('HSET', thread, 'queued', head[1])
  redis.call('ZADD', K.queue(run[1]), due, head[1])
  -- A run that is due later wakes a worker too: one of them must set its timer.
  wake(run[1])
end

-- Take a run that ended, or was given back, out of every place a claim put it.
local function unclaim(run_id, thread_id, worker)
  leave_queue(run_id)
  redis.call('DEL', K.in_progress(run_id))
  if worker then redis.call('SREM', K.worker_runs(worker), run_id) end
  if redis.call('HGET', K.thread(thread_id), 'active') == run_id then
    redis.call('HDEL', K.thread(thread_id), 'active')
  end
end

-- Make a claimed run pending again, at its old place. Its held messages stay with it. `not_before` in ms, or nil.
local function requeue(run_id, not_before)
  local run = redis.call('HMGET', K.run(run_id), 'thread', 'worker', 'score')
  unclaim(run_id, run[1], run[2])
  redis.call('HINCRBY', K.run(run_id), 'epoch', 1)
  redis.call('HDEL', K.run(run_id), 'token', 'worker')
  if not not_before then redis.call('HDEL', K.run(run_id), 'lacked') end
  redis.call('HSET', K.run(run_id), 'status', 'pending', 'not_before', not_before or 0)
  redis.call('ZADD', K.thread_waiting(run[1]), run[3], run_id)
  admit(run[1])
end

-- Open the lock that a change of a thread's state holds (state_lock.lua).
local function unlock(lock_id)
  local lock = redis.call('HMGET', K.run(lock_id), 'thread', 'worker')
  redis.call('UNLINK', K.run(lock_id), K.run_checkpoints(lock_id), K.run_kept_writes(lock_id))
  redis.call('SREM', K.worker_runs(lock[2]), lock_id)
  if redis.call('HGET', K.thread(lock[1]), 'active') == lock_id then redis.call('HDEL', K.thread(lock[1]), 'active') end
  admit(lock[1])
end
