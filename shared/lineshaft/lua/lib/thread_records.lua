-- What a thread is made of.
-- USES lib/checkpoints lib/crons lib/index

-- Checkpoints that go with their thread at once: about a millisecond of Redis. Of more, the rest goes after it.
local GONE_AT_ONCE = 100

local MOST_CRONS = 1000 -- more than cron_create.lua lets a thread have, so all of them

-- The id of the slices of a thread's stored state, if it is a large one: `s<id>.<bytes>` stands in its place.
local function sliced_state(thread_id)
  local snapshot = K.thread_snapshot(thread_id)
  if redis.call('HSTRLEN', snapshot, 'state') > 64 then return end -- longer than any such name: saves reading it
  return string.match(redis.call('HGET', snapshot, 'state') or '', '^s([^.]*)')
end

-- Store what the thread shows from now on.
local function store_snapshot(thread_id, rev, state, interrupts)
  local before, id = sliced_state(thread_id), string.match(string.sub(state, 1, 64), '^s([^.]*)')
  if id then redis.call('PERSIST', K.thread_state(thread_id, id)) end
  -- ms: somebody may be reading it, slice by slice.
  if before and before ~= id then redis.call('PEXPIRE', K.thread_state(thread_id, before), 15000) end
  redis.call('HSET', K.thread_snapshot(thread_id), 'rev', rev, 'state', state, 'interrupts', interrupts)
end

-- Delete what the thread is made of and its crons, but for its runs and their event log. Returns whether checkpoints of it are left:
-- nobody finds them any more, and thread_dispose.lua deletes them.
local function delete_thread_records(thread_id)
  unindex_thread(thread_id)
  delete_crons(K.crons_of_thread(thread_id), MOST_CRONS)
  local is_left = delete_checkpoints(thread_id, GONE_AT_ONCE)
  if is_left then redis.call('SADD', K.threads_disposed(), thread_id) end
  local state_id = sliced_state(thread_id)
  if state_id then redis.call('UNLINK', K.thread_state(thread_id, state_id)) end
  redis.call('UNLINK', K.thread(thread_id), K.thread_snapshot(thread_id), K.thread_waiting(thread_id),
    K.thread_runs(thread_id), K.thread_inbox(thread_id), K.thread_held(thread_id), K.thread_answer(thread_id))
  return is_left
end
