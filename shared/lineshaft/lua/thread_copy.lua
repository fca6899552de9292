-- Finish a copy of a thread: with its states, but not its runs. Returns 1, or 0 if what was copied has changed.
-- USES lib/index lib/now lib/thread lib/thread_copies lib/thread_records
-- ARGV source target mark state
-- `mark` is that of the beginning; `state` the stored state as it was then with the new thread's id in it, or '' if there
-- was none. The checkpoints are there already. Refuses: CONFLICT (the copy was given up).
if redis.call('EXISTS', K.thread(target)) == 1 then return 1 end -- the same call again after a lost answer
if not copy_goes_on(target) then return redis.error_reply('CONFLICT The copy took too long, and was given up') end
if copy_mark(source) ~= mark then return 0 end
redis.call('ZREM', K.threads_unfinished(), target)

local thread = redis.call('HMGET', K.thread(source), 'metadata', 'leaves', 'graph_id', 'assistant_id', 'status', 'rev',
  'ttl_minutes', 'ttl_strategy')
create_thread(target, now, thread[1], thread[2] or '', thread[3] or '', false)
set_thread_graph(target, '', thread[4] or '')
redis.call('HSET', K.thread(target), 'status', thread[5])
set_thread_status(target)
if thread[7] then set_thread_ttl(target, thread[7], thread[8], now) end

-- What was the state of the original's newest checkpoint is that of the copy's. (If a run has moved the original's rev the
-- copy's state is asked for.)
local has_states = redis.call('EXISTS', K.checkpoint_namespaces(target)) == 1
if thread[6] and has_states then redis.call('HSET', K.thread(target), 'rev', thread[6]) end
local snapshot = redis.call('HMGET', K.thread_snapshot(source), 'rev', 'interrupts', 'error')
if state ~= '' then store_snapshot(target, snapshot[1] or '', state, snapshot[2] or '{}') end
if snapshot[3] then redis.call('HSET', K.thread_snapshot(target), 'error', snapshot[3]) end

-- Messages that wait, and before them those that the run under way holds: it has made them part of no state that is copied.
local inbox = K.thread_inbox(target)
if run_under_way(source) and redis.call('COPY', K.thread_held(source), inbox) == 1 then
  for _, message in ipairs(redis.call('LRANGE', K.thread_inbox(source), 0, -1)) do redis.call('RPUSH', inbox, message) end
else
  redis.call('COPY', K.thread_inbox(source), inbox)
end
return 1
