-- What became of each attempt to execute a run, for whoever asks why it took so long. A claim notes when it `began`.
-- USES lib/now

local ATTEMPTS_KEPT = 20 -- the newest; a run that is handed back more often tells nothing new

-- One row of the field `attempts`: number, worker, host, began, ended (ms), reason; \31 between these, \30 behind the row.
-- Nothing happens if no attempt is open: then `began` is empty, or not there. Called before the worker is taken out of the
-- run's record.
local function close_attempt(run_id, reason)
  local run = redis.call('HMGET', K.run(run_id), 'began', 'attempt', 'worker', 'attempts')
  if not run[1] or run[1] == '' then return end
  local host = redis.call('HGET', K.worker(run[3] or ''), 'host') or ''
  local rows = (run[4] or '') .. table.concat({ run[2] or '0', run[3] or '', host, run[1], now, reason }, '\31') .. '\30'
  local _, count = string.gsub(rows, '\30', '')
  if count > ATTEMPTS_KEPT then rows = string.sub(rows, string.find(rows, '\30', 1, true) + 1) end
  redis.call('HSET', K.run(run_id), 'attempts', rows, 'began', '')
end
