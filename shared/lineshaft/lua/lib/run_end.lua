-- What every end of a run has in common.
-- USES lib/attempts lib/index lib/log lib/now lib/queue lib/run_index lib/thread_records lib/webhooks

-- A temporary thread goes with its run; for so long the record and the events can still be joined.
local TEMPORARY_MS = 300000

-- Messages that the run had taken from the inbox: part of the state now, or back at the inbox's front.
local function settle_held(run_id, thread_id, taken)
  if redis.call('HGET', K.run(run_id), 'held') ~= '1' then return end
  redis.call('HDEL', K.run(run_id), 'held')
  if taken then
    redis.call('DEL', K.thread_held(thread_id))
    return
  end
  while redis.call('LMOVE', K.thread_held(thread_id), K.thread_inbox(thread_id), 'RIGHT', 'LEFT') do end
end

local function forget_run(run_id, thread_id)
  unindex_run(run_id)
  redis.call('UNLINK', K.run(run_id), K.run_input(run_id), K.run_checkpoints(run_id), K.run_kept_writes(run_id),
    K.job(run_id))
  redis.call('ZREM', K.thread_runs(thread_id), run_id)
end

-- ms that a call may wait for a sender: nobody wants to hear of a run a week later, and what is forgotten has an end.
local CALL_MS = 7 * 86400000

-- Queue the call that a client wanted at the end of its run, if it did: before the record goes. The id of the call is
-- the run's: a run ends once. `content` is the JSON of the run and its values, '' where no worker was there to make it;
-- what only this script knows is put beside it.
local function call_back(run_id, thread_id, status, error, content)
  local run = redis.call('HMGET', K.run(run_id), 'webhook', 'started')
  if not run[1] then return end
  redis.call('HSET', K.webhook(run_id), 'url', run[1], 'content', content, 'thread', thread_id, 'status', status,
    'error', error, 'started', run[2] or '', 'ended', now, 'attempts', 0, 'outcome', 'waiting')
  redis.call('PEXPIRE', K.webhook(run_id), CALL_MS)
  place_call(receiver_of(run[1]), run_id, now)
  wake('webhooks')
end

-- How the last attempt ended, see lib/attempts.
local ENDS = { success = 'finished', error = 'failed', timeout = 'timed out', interrupted = 'cancelled' }

-- Close the run's record and give the thread to the next run. `gone` drops the record (rollback). `entries` are the
-- run's last events, `paused` whether it has stopped where it can go on: its log ends with its status, or with how it came
-- to that, where readers want to know. The run says itself how long its events and its input outlive it (ms).
local function end_run(run_id, thread_id, status, gone, entries, paused)
  local run = redis.call('HMGET', K.run(run_id), 'worker', 'attempt', 'token', 'events_ttl', 'input_ttl', 'temporary',
    'superseded', 'queue')
  local queued = redis.call('HGET', K.thread(thread_id), 'queued')
  close_attempt(run_id, ENDS[status] or status)
  index_ended(run_id, run[8] or '', status)
  redis.call('ZREM', K.thread_waiting(thread_id), run_id)
  unclaim(run_id, thread_id, run[1])
  if queued == run_id then redis.call('HDEL', K.thread(thread_id), 'queued') end
  redis.call('HINCRBY', K.run(run_id), 'epoch', 1)
  redis.call('HSET', K.run(run_id), 'status', status, 'updated', now, 'ended', now, 'ended_by', run[3] or '',
    -- By which it is found out later whether the thread has gone on.
    'ended_rev', redis.call('HGET', K.thread(thread_id), 'rev') or 0)
  local told = status
  if status == 'success' and paused then told = 'paused' end
  if status == 'interrupted' and run[7] then told = 'superseded' end
  for _, part in ipairs({ 'end', 'd', '"' .. told .. '"' }) do entries[#entries + 1] = part end
  append(thread_id, run_id, run[2] or 0, entries)
  redis.call('HDEL', K.run(run_id), 'token', 'worker', 'not_before')
  redis.call('DEL', K.job(run_id))
  redis.call('PEXPIRE', K.run_input(run_id), run[5])
  expire_log(thread_id, run_id, tonumber(run[4]))
  if gone then forget_run(run_id, thread_id) end
  if run[6] then
    delete_thread_records(thread_id)
    redis.call('UNLINK', K.run_checkpoints(run_id), K.run_kept_writes(run_id))
    redis.call('PEXPIRE', K.run(run_id), TEMPORARY_MS)
    redis.call('PEXPIRE', K.thread_events(thread_id), TEMPORARY_MS)
    return
  end
  admit(thread_id)
  touch_thread(thread_id, now)
  set_thread_status(thread_id)
end
