-- Copies of threads: they are made in pieces, under the id of a thread that is not there before the last one. Until then the
-- copy is noted with the time of its last piece, so that the reconciler finds what nobody finishes (thread_copy_drop.lua).
-- USES lib/now

-- Note that a piece comes. Returns false if the copy was given up: then nobody would ever delete the piece.
local function copy_goes_on(target)
  if not redis.call('ZSCORE', K.threads_unfinished(), target) then return false end
  redis.call('ZADD', K.threads_unfinished(), now, target)
  return true
end

-- The run that goes on on a thread. What it writes is not copied: it may be taken back, and it would never hold still. (A
-- change of the state from outside holds the thread's slot too, and is no run.)
local function run_under_way(thread_id)
  local active = redis.call('HGET', K.thread(thread_id), 'active')
  if active and redis.call('HEXISTS', K.run(active), 'lock') == 0 then return active end
end

-- What is the same as long as what is copied of a thread is: which thread it is; its run under way (whose writes change
-- nothing for us, and which keeps others from writing) and the token of its claim (between two claims it is not under way),
-- or how often its checkpoints were changed; and its stored state.
-- '' if there is no such thread.
local function copy_mark(source)
  local thread = redis.call('HMGET', K.thread(source), 'created', 'rev')
  if not thread[1] then return '' end
  local snapshot = K.thread_snapshot(source)
  local state = redis.call('HSTRLEN', snapshot, 'state') <= 64 and redis.call('HGET', snapshot, 'state') or ''
  local run = run_under_way(source)
  local held = run and 'run ' .. run .. ' ' .. (redis.call('HGET', K.run(run), 'token') or '') or 'rev ' .. (thread[2] or '')
  return table.concat({ thread[1], held, redis.call('HGET', snapshot, 'rev') or '', state }, ' ')
end
