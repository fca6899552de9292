-- Change a cron if the expected version of it is there. Returns 1, or 0: read again.
-- USES lib/crons lib/now
-- ARGV cron_id expected_version head payload next_at ends enabled
-- `next_at` in ms, or '' to leave it as it is; `ends` in ms, or '' for never.
local cron = K.cron(cron_id)
local current = redis.call('HMGET', cron, 'version', 'next', 'updated')
if not current[1] then return redis.error_reply('NOTFOUND Cron with ID ' .. cron_id .. ' not found') end
if current[1] ~= expected_version then return 0 end
-- 1 ms past the last change at least: two of them never carry the same time.
local time = string.format('%.0f', math.max(now, tonumber(current[3]) + 1))
redis.call('HSET', cron, 'head', head, 'payload', payload, 'version', expected_version + 1, 'updated', time,
  'ends', ends, 'enabled', enabled)
set_next(cron_id, next_at ~= '' and next_at or current[2])
wake_scheduler()
return 1
