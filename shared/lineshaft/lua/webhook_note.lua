-- Note what became of an attempt to call.
-- FLAGS allow-oom
-- USES lib/now lib/webhooks
-- ARGV run_id request outcome said delay failed_ttl
-- `request` is the attempt's, `outcome` is 'delivered', 'waiting' (for another attempt in `delay` ms) or 'failed', and
-- `said` in words. What failed is kept for `failed_ttl` ms with its content, so that it can be sent after all.
-- Returns 1, or 0 if the attempt is noted already, or has taken so long that there has been another.
local call = K.webhook(run_id)
local DELIVERED_TTL = 3600000 -- ms: long enough to ask what became of it; the log has it, too
local record = redis.call('HMGET', call, 'claim', 'attempts', 'url')
if record[1] ~= request then return 0 end
redis.call('HDEL', call, 'claim')
redis.call('HSET', call, 'outcome', outcome, 'ended:' .. record[2], now, 'said:' .. record[2], said)
if outcome == 'waiting' then
  place_call(receiver_of(record[3]), run_id, now + tonumber(delay))
  return 1
end
place_call(receiver_of(record[3]), run_id)
-- A large content is kept apart.
local blob = redis.call('HSTRLEN', call, 'content') <= 64 and redis.call('HGET', call, 'content') or ''
blob = string.match(blob, '^k(.+)')
if outcome == 'delivered' then
  redis.call('HDEL', call, 'content')
  if blob then redis.call('UNLINK', K.blob(blob)) end
  redis.call('PEXPIRE', call, DELIVERED_TTL)
else
  redis.call('ZADD', K.webhooks_failed(), now, run_id)
  redis.call('PEXPIRE', call, failed_ttl)
  if blob then redis.call('PEXPIRE', K.blob(blob), failed_ttl) end
  redis.call('ZREMRANGEBYSCORE', K.webhooks_failed(), '-inf', now - tonumber(failed_ttl))
  redis.call('PEXPIRE', K.webhooks_failed(), failed_ttl)
end
return 1
