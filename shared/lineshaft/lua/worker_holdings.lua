-- Compare what a worker believes it runs with what it holds; and repeat cancels whose notification was lost.
-- FLAGS allow-oom
-- ARGV worker count
-- Returns 'ok', or the list of run id and cancel action ('' for none) of all that it holds.
-- Locks (state_lock.lua) are the control lane's and not counted.
local held = {}
for _, run_id in ipairs(redis.call('SMEMBERS', K.worker_runs(worker))) do
  if redis.call('HEXISTS', K.run(run_id), 'lock') == 0 then held[#held + 1] = run_id end
end
local signalled = redis.call('HEXISTS', K.worker(worker), 'signal') == 1
if not signalled and #held == tonumber(count) then return 'ok' end
local out, cancelled = {}, false
for _, run_id in ipairs(held) do
  local action = redis.call('HGET', K.run(run_id), 'cancel') or ''
  out[#out + 1] = run_id
  out[#out + 1] = action
  if action ~= '' then cancelled = true end
end
-- Said again until the runs have ended: this answer may get lost too.
if signalled and not cancelled then redis.call('HDEL', K.worker(worker), 'signal') end
return out
