-- Copy all checkpoints of one thread to another, in place of those that it has.
-- USES lib/checkpoints
-- ARGV source target
if source == target then return 0 end
delete_checkpoints(target)
for _, ns in ipairs(redis.call('SMEMBERS', K.checkpoint_namespaces(source))) do
  for _, id in ipairs(redis.call('ZRANGE', K.checkpoint_ids(source, ns), 0, -1)) do
    redis.call('COPY', K.checkpoint_writes(source, ns, id), K.checkpoint_writes(target, ns, id))
  end
  redis.call('COPY', K.checkpoint_ids(source, ns), K.checkpoint_ids(target, ns))
  redis.call('COPY', K.checkpoint_headers(source, ns), K.checkpoint_headers(target, ns))
  redis.call('COPY', K.checkpoint_blobs(source, ns), K.checkpoint_blobs(target, ns))
end
-- References name large values within their own thread, so they need no change.
for _, id in ipairs(redis.call('SMEMBERS', K.checkpoint_large_ids(source))) do
  redis.call('COPY', K.checkpoint_large(source, id), K.checkpoint_large(target, id))
end
redis.call('COPY', K.checkpoint_large_ids(source), K.checkpoint_large_ids(target))
redis.call('COPY', K.checkpoint_namespaces(source), K.checkpoint_namespaces(target))
bump_rev(target)
return 1
