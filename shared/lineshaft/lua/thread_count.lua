-- How many threads the indexes find; -1 when only walking through them can tell.
-- FLAGS no-writes
-- ARGV status leaves...
local INTERSECT_LIMIT = 20000 -- members of the smallest set; more would hold up everybody else
if #leaves == 0 and status == '' then return redis.call('ZCARD', K.threads_by_created()) end
if #leaves > 0 and redis.call('EXISTS', K.threads_with('*')) == 1 then return -1 end
local sets = {}
for i, leaf in ipairs(leaves) do sets[i] = K.threads_with(leaf) end
if status ~= '' then sets[#sets + 1] = K.threads_with_status(status) end
if #sets == 1 then return redis.call('SCARD', sets[1]) end
local smallest
for _, set in ipairs(sets) do
  local size = redis.call('SCARD', set)
  if not smallest or size < smallest then smallest = size end
end
if smallest > INTERSECT_LIMIT then return -1 end
return redis.call('SINTERCARD', #sets, unpack(sets))
