-- Whether `token` is the run's current one. Every write of a run asks this first: an attempt that was lost,
-- and wakes up later, must not touch what its successor does.
local function holds(run_id, token)
  return redis.call('HGET', K.run(run_id), 'token') == token
end
