-- Which format the stored data have; a Redis that has none yet, or an older one, gets `known`.
-- FLAGS allow-oom
-- ARGV known
-- Returns the format's number.
local stored = tonumber(redis.call('GET', K.format()) or 0)
if stored < tonumber(known) then
  redis.call('SET', K.format(), known)
  return tonumber(known)
end
return stored
