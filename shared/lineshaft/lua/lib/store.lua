-- The long-term store, as scripts see it. A document is `<created us>\0<updated us>\0<ttl ms or nothing>\0<JSON>`; only
-- the numbers are ever looked at.
-- USES lib/now

local function expiry_member(namespace, key) return namespace .. '\0\0' .. key end

local function drop_item(namespace, key)
  redis.call('HDEL', K.store_items(namespace), key)
  redis.call('HDEL', K.store_vectors(namespace), key)
  redis.call('ZREM', K.store_order(namespace), key)
  redis.call('ZREM', K.store_expiry(), expiry_member(namespace, key))
  if redis.call('EXISTS', K.store_items(namespace)) == 0 then redis.call('ZREM', K.store_namespaces(), namespace) end
end

-- Remove up to `limit` items that have expired; returns how many. Calls do it in passing, and the reconciler; nobody
-- depends on it, see `document`.
local function sweep(limit)
  local expired = redis.call('ZRANGEBYSCORE', K.store_expiry(), '-inf', now, 'LIMIT', 0, limit)
  for _, member in ipairs(expired) do
    local cut = string.find(member, '\0\0', 1, true)
    drop_item(string.sub(member, 1, cut - 1), string.sub(member, cut + 2))
  end
  return #expired
end

-- An item's document and ttl (or ''); false if there is none or it has expired.
local function document(namespace, key)
  local doc = redis.call('HGET', K.store_items(namespace), key)
  if not doc then return false end
  local ttl = string.match(doc, '^%d+%z%d+%z(%d*)')
  if ttl ~= '' then
    local expiry = redis.call('ZSCORE', K.store_expiry(), expiry_member(namespace, key))
    if not expiry or tonumber(expiry) <= now then return false end
  end
  return doc, ttl
end
