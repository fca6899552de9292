-- Counting what only scripts know of, for operators (redis/keys.py, counts).

local function tally(what) redis.call('HINCRBY', K.counts(), what, 1) end
