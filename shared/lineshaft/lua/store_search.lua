-- Read one page of the items under a namespace prefix, by namespace and then in the order of their creation.
-- FLAGS allow-oom
-- USES lib/store
-- ARGV prefix namespace position limit with_vectors
-- A page starts in `namespace` ('' for the first) behind its first `position` items. Returns where the next one starts
-- (nothing at the end), and namespace, key, document and vectors ('' for none) of each item.
sweep(100)
local high = prefix == '' and '+' or '(' .. prefix .. '\1' -- labels are joined by \0
local low = namespace ~= '' and '[' .. namespace or prefix ~= '' and '[' .. prefix or '-'
local left, room = tonumber(limit), 1048576 -- 1 MiB a page
local NAMESPACES = 500 -- looked into by one call
local found = {}
local namespaces = redis.call('ZRANGE', K.store_namespaces(), low, high, 'BYLEX', 'LIMIT', 0, NAMESPACES)
for i, ns in ipairs(namespaces) do
  local start = ns == namespace and tonumber(position) or 0
  for j, key in ipairs(redis.call('ZRANGE', K.store_order(ns), start, start + left - 1)) do
    local doc = document(ns, key)
    if doc then
      local vectors = with_vectors == '1' and redis.call('HGET', K.store_vectors(ns), key) or ''
      for _, part in ipairs({ ns, key, doc, vectors }) do found[#found + 1] = part end
      room = room - #doc - #vectors
    end
    left = left - 1
    if left <= 0 or room <= 0 then return { ns, start + j, found } end
  end
  if i == NAMESPACES then return { ns, redis.call('ZCARD', K.store_order(ns)), found } end
end
return { false, 0, found }
