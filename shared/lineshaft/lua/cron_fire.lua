-- Fire a cron: create its run and set its next time, if this time of it has not fired yet.
-- USES lib/crons lib/now
-- CALLS run_enqueue
-- ARGV cron_id expected_version expected next_at order...
-- `expected` is the time that fires and `next_at` the one after it, in ms. `order` are the arguments of run_enqueue.lua, the last
-- of which is the whole input; without any no run is made, and that time passes.
-- Returns '' if another scheduler was faster, or the cron has changed; else 'fired', or why it could not.
-- Refuses: FULL (memory); the cron is still due then.
local due = redis.call('ZSCORE', K.crons_due(), cron_id)
if not due or tonumber(due) ~= tonumber(expected) then return '' end
if redis.call('HGET', K.cron(cron_id), 'version') ~= expected_version then return '' end
local outcome = 'passed'
if #order > 0 then
  order[#order] = { order[#order] }
  local answer = run_enqueue(unpack(order))
  outcome = answer.err or 'fired'
  if string.find(outcome, '^FULL') then return answer end
end
-- For whoever asks how it went; '' where no run was made.
redis.call('HSET', K.cron(cron_id), 'fired', now, 'fired_for', expected, 'fired_run', outcome == 'fired' and order[1] or '',
  'outcome', outcome)
if string.find(outcome, '^NOTFOUND') then
  delete_cron(cron_id) -- of a thread or an assistant that is there no more
else
  set_next(cron_id, next_at)
end
return outcome
