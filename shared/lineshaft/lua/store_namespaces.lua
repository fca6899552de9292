-- Read up to `limit` namespaces of the long-term store under a prefix, behind the namespace `after`, in order.
-- FLAGS allow-oom
-- USES lib/store
-- ARGV prefix after limit
sweep(1000)
local high = prefix == '' and '+' or '(' .. prefix .. '\1' -- labels are joined by \0
local low = after ~= '' and '(' .. after or prefix ~= '' and '[' .. prefix or '-'
return redis.call('ZRANGE', K.store_namespaces(), low, high, 'BYLEX', 'LIMIT', 0, limit)
