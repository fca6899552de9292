-- Renew a worker's lease (or begin it), and reap workers that did not.
-- FLAGS allow-oom
-- USES lib/now lib/reap
-- ARGV worker begin lease max_crashes info...
-- `info` are field-value pairs about the worker, written when the lease begins.
-- Returns 1, or 0 when the lease is gone: others have the worker's runs.
if begin == '1' then
  redis.call('HSET', K.worker(worker), 'started', now, unpack(info))
elseif not redis.call('ZSCORE', K.workers(), worker) then
  return 0
end
redis.call('ZADD', K.workers(), now + tonumber(lease), worker)
-- The record outlives the lease by far: only the reaper, or the worker's own farewell, ends a worker.
redis.call('PEXPIRE', K.worker(worker), tonumber(lease) * 100)
reap_expired(lease, max_crashes)
redis.call('SET', K.beat(), now, 'PX', tonumber(lease) * 100)
return 1
