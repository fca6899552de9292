-- Let a worker claim no more runs, or let it claim again.
-- FLAGS allow-oom
-- ARGV worker drained
-- What it holds it brings to its end. Returns 1, or 0 if that is so already. Refuses: NOTFOUND.
if not redis.call('ZSCORE', K.workers(), worker) then
  return redis.error_reply('NOTFOUND There is no worker ' .. worker .. '. It may have been replaced: look at the list again.')
end
if drained == '1' then return redis.call('HSETNX', K.worker(worker), 'drained', '1') end
redis.call('PUBLISH', K.worker_channel(worker), '') -- it looks for work at once
return redis.call('HDEL', K.worker(worker), 'drained')
