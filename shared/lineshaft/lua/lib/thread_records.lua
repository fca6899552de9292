-- What a thread is made of. Needs lib/index, lib/checkpoints.

-- Delete what the thread is made of, but for its runs and their event log.
local function delete_thread_records(thread_id)
  unindex_thread(thread_id)
  delete_checkpoints(thread_id)
  redis.call('UNLINK', K.thread(thread_id), K.thread_snapshot(thread_id), K.thread_waiting(thread_id),
    K.thread_runs(thread_id), K.thread_inbox(thread_id), K.thread_held(thread_id), K.thread_answer(thread_id))
end
