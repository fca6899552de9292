-- The queue and the order of a thread's runs.
--
-- A run that is not claimed stands in its thread's `waiting` set. Only the earliest one also stands in the queue, and
-- only while the thread has no active run: so a thread never runs two at once, and a claim looks at one entry a thread.
-- USES lib/limits lib/line lib/now lib/run_index

-- A claimed run keeps its queue entry (arq's Job.status reads it), scored out of the range that is due.
local HIDDEN_MS = 86400000 * 3650

-- Take a run out of the queue. It keeps its place for when it comes back; `waits_on` if it still waits meanwhile.
local function leave_queue(run_id, waits_on)
  local run = redis.call('HMGET', K.run(run_id), 'queue', 'parked', 'bearer', 'counted', 'place', 'tenant', 'slots')
  local queue = run[1]
  if not queue then return end
  redis.call('ZREM', K.queue(queue), run_id)
  redis.call('ZREM', K.line(queue), run_id)
  if run[2] then redis.call('ZREM', K.parked(queue, run[2]), run_id) end
  if run[4] and not waits_on then uncount(queue, run[5], run[6]) end
  if run[2] or run[3] or run[4] then
    redis.call('HDEL', K.run(run_id), 'parked', 'bearer', not waits_on and 'counted' or 'parked')
  end
  if run[3] then call_back_parked(queue, run[3]) end
  if run[7] then free_slots(run_id, run[7]) end
end

-- Whether nothing of the run is to be executed any more: it was cancelled, or too many workers died with it. A worker
-- only keeps or takes back what it did, shows the thread's state and ends it.
local function must_settle(run_id)
  local run = redis.call('HMGET', K.run(run_id), 'cancel', 'dead')
  return run[1] or run[2]
end

-- Put the thread's earliest waiting run into the queue, unless a run is active.
local function admit(thread_id)
  local thread = K.thread(thread_id)
  local state = redis.call('HMGET', thread, 'active', 'queued')
  if state[1] then return end
  local head = redis.call('ZRANGE', K.thread_waiting(thread_id), 0, 0, 'WITHSCORES')
  if state[2] and state[2] ~= head[1] then leave_queue(state[2], true) end
  if not head[1] then
    redis.call('HDEL', thread, 'queued')
    return
  end
  local run = redis.call('HMGET', K.run(head[1]), 'queue', 'not_before', 'place', 'parked')
  local due = math.max(tonumber(head[2]), tonumber(run[2] or 0))
  -- Since when nothing but a free slot is lacking: what its wait is counted from.
  if state[2] ~= head[1] then redis.call('HSET', K.run(head[1]), 'ready', string.format('%.0f', math.max(due, now))) end
  redis.call('HSET', thread, 'queued', head[1])
  redis.call('ZADD', K.queue(run[1]), string.format('%.3f', due), head[1])
  if run[4] then return end
  -- Thousandths of a ms only count the runs that were made in one.
  redis.call('ZADD', K.line(run[1]), due < now + 1 and run[3] or string.format('%.3f', due), head[1])
  -- A run that is due later wakes a worker too: one of them must set its timer.
  wake(run[1])
end

-- A run that is only to be settled, and stands in no queue now, waits for no slot.
local function wait_to_be_settled(run_id)
  local band = band_in_overflow(nil, true)
  local run = redis.call('HMGET', K.run(run_id), 'queue', 'place')
  local place = run[1] == OVERFLOW and run[2] and band_at(run[2]) == band and run[2]
  if place then
    count_again(OVERFLOW, place)
  else
    place = new_place(OVERFLOW, band)
  end
  change_queue(run_id, OVERFLOW)
  redis.call('HSET', K.run(run_id), 'place', place, 'counted', '1')
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
  local run = redis.call('HMGET', K.run(run_id), 'thread', 'worker', 'score', 'queue', 'place', 'tenant')
  unclaim(run_id, run[1], run[2])
  redis.call('HINCRBY', K.run(run_id), 'epoch', 1)
  redis.call('HDEL', K.run(run_id), 'token', 'worker')
  if not not_before then redis.call('HDEL', K.run(run_id), 'lacked') end
  if must_settle(run_id) then
    wait_to_be_settled(run_id)
  elseif run[5] then
    count_again(run[4], run[5], run[6])
    redis.call('HSET', K.run(run_id), 'counted', '1')
  end
  redis.call('HSET', K.run(run_id), 'status', 'pending', 'not_before', not_before or 0)
  redis.call('ZADD', K.thread_waiting(run[1]), run[3], run_id)
  admit(run[1])
end

-- The same for a run that its worker did not execute to its end without any fault of the run: not counted.
local function give_back(run_id, not_before)
  if not must_settle(run_id) then redis.call('HINCRBY', K.run(run_id), 'attempt', -1) end
  requeue(run_id, not_before)
end

-- A run that waits for a worker has nothing left but to be settled: it waits for no slot.
local function expedite(run_id, thread_id)
  leave_queue(run_id)
  wait_to_be_settled(run_id)
  redis.call('HSET', K.run(run_id), 'not_before', 0)
  admit(thread_id)
end

-- Open the lock that a change of a thread's state holds (state_lock.lua).
local function unlock(lock_id)
  local lock = redis.call('HMGET', K.run(lock_id), 'thread', 'worker')
  redis.call('UNLINK', K.run(lock_id), K.run_checkpoints(lock_id), K.run_kept_writes(lock_id))
  redis.call('SREM', K.worker_runs(lock[2]), lock_id)
  if redis.call('HGET', K.thread(lock[1]), 'active') == lock_id then redis.call('HDEL', K.thread(lock[1]), 'active') end
  admit(lock[1])
end
