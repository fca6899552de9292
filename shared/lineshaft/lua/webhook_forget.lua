-- Take the calls of some runs out of every place, whatever became of them. Returns 1.
-- FLAGS allow-oom
-- USES lib/webhooks
-- ARGV run_ids...
for _, run_id in ipairs(run_ids) do
  local url = redis.call('HGET', K.webhook(run_id), 'url')
  redis.call('UNLINK', K.webhook(run_id))
  redis.call('ZREM', K.webhooks_failed(), run_id)
  if url then place_call(receiver_of(url), run_id, nil) end
end
return 1
