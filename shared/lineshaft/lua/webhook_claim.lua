-- Give a sender the call that is due first, for as long as one attempt may take.
-- FLAGS allow-oom
-- USES lib/answered lib/now lib/webhooks
-- ARGV request lease busy...
-- `busy` are receivers to which the sender calls already, and as often as it should at once: theirs wait.
-- `request` names the attempt, and its outcome is told with it (webhook_note.lua). `lease` in ms: after it the call is
-- due again, since its sender must have died.
-- Returns: ms until the next call is due (-1 if none is known); and if one was, its run id, its receiver and the fields of
-- `FIELDS`.
local FIELDS = { 'url', 'content', 'thread', 'status', 'error', 'started', 'ended', 'attempts' }

local is_busy = {}
for _, receiver in ipairs(busy) do is_busy[receiver] = true end

local function answer(run_id)
  local fields = redis.call('HMGET', K.webhook(run_id), unpack(FIELDS))
  return { 0, run_id, receiver_of(fields[1]), unpack(fields) }
end

-- The same call again after a lost answer.
local before = answered(request)
if before and redis.call('HGET', K.webhook(before), 'claim') == request then return answer(before) end

for _ = 1, 100 do -- an operator may have deleted the records of some
  local receiver, due
  local first = redis.call('ZRANGE', K.webhooks(), 0, #busy, 'WITHSCORES')
  for i = 1, #first, 2 do
    if not is_busy[first[i]] then
      receiver, due = first[i], tonumber(first[i + 1])
      break
    end
  end
  if not receiver then return { -1 } end
  if due > now then return { math.ceil(due - now) } end
  local run_id = redis.call('ZRANGE', K.webhooks_to(receiver), 0, 0)[1]
  if run_id and redis.call('EXISTS', K.webhook(run_id)) == 1 then
    place_call(receiver, run_id, now + tonumber(lease))
    local n = redis.call('HINCRBY', K.webhook(run_id), 'attempts', 1)
    redis.call('HSET', K.webhook(run_id), 'claim', request, 'began:' .. n, now)
    remember(request, run_id)
    return answer(run_id)
  end
  place_call(receiver, run_id or '')
end
return { 0 }
