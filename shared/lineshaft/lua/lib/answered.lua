-- Answers of calls that remove, or let others change, what a repetition would have to look at: it would be told that
-- there is nothing to do, or would do it again. `request` names a call.

-- Whether this very call was made before, and its answer got lost: then that answer (a string), else false.
local function answered(request) return redis.call('GET', K.answered(request)) end

local function remember(request, answer)
  redis.call('SET', K.answered(request), answer, 'EX', 60) -- seconds: many times the patience of those who ask
end
