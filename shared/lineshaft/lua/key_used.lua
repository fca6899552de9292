-- Note when an API key was last used, unless it has been revoked meanwhile.
-- USES lib/now
-- ARGV key_id
if redis.call('HEXISTS', K.api_keys(), key_id) == 1 then
  redis.call('HSET', K.api_keys(), key_id .. ':used', now)
end
return 1
