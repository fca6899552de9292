-- The time of this script in milliseconds, from Redis itself: hosts' clocks never matter.
local now = (function()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end)()
