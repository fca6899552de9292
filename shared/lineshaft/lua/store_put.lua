-- Put or delete items of the long-term store.
-- FLAGS allow-oom
-- USES lib/fence lib/memory lib/now lib/store
-- ARGV run_id token puts...
-- Without a token it is not fenced, but refused (FULL) when memory is short: runs under way come first. `puts` are
-- namespace, key, ttl in ms ('' for ever, 'delete'), JSON and vectors ('' for none) of each.
if token ~= '' and not holds(run_id, token) then return redis.error_reply('FENCED This run has been taken over') end
local full = token == '' and puts[3] ~= 'delete' and refusal_when_full()
if full then return redis.error_reply(full) end
sweep(100)
local time = redis.call('TIME')
for i = 1, #puts, 5 do
  local namespace, key, ttl, json = puts[i], puts[i + 1], puts[i + 2], puts[i + 3]
  if ttl == 'delete' then
    drop_item(namespace, key)
  else
    -- Items of one call are a microsecond apart, so that a search finds them in the order in which they were put.
    local updated = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]) + (i - 1) / 5)
    local old = document(namespace, key)
    local created = old and string.match(old, '^%d+') or updated
    redis.call('HSET', K.store_items(namespace), key, created .. '\0' .. updated .. '\0' .. ttl .. '\0' .. json)
    if puts[i + 4] ~= '' then
      redis.call('HSET', K.store_vectors(namespace), key, puts[i + 4])
    else
      redis.call('HDEL', K.store_vectors(namespace), key)
    end
    redis.call('ZADD', K.store_order(namespace), created, key)
    redis.call('ZADD', K.store_namespaces(), 0, namespace)
    if ttl == '' then
      redis.call('ZREM', K.store_expiry(), expiry_member(namespace, key))
    else
      redis.call('ZADD', K.store_expiry(), now + ttl, expiry_member(namespace, key))
    end
  end
end
return 1
