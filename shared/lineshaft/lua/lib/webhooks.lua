-- The calls that wait to be sent. Those of one receiver stand in a queue of their own, so that a slow one holds up nobody
-- else's; the receivers stand in the order in which their first calls are due.

-- Host and port of a URL, as it was given: what people put before an @ is nobody's business.
local function receiver_of(url)
  local authority = string.match(url, '^[^/]*//([^/?#]*)') or ''
  return string.lower(string.match(authority, '[^@]*$'))
end

local function place_receiver(receiver)
  local head = redis.call('ZRANGE', K.webhooks_to(receiver), 0, 0, 'WITHSCORES')
  if head[1] then redis.call('ZADD', K.webhooks(), head[2], receiver) else redis.call('ZREM', K.webhooks(), receiver) end
end

-- `due` in ms; nil takes the call out.
local function place_call(receiver, run_id, due)
  if due then redis.call('ZADD', K.webhooks_to(receiver), due, run_id)
  else redis.call('ZREM', K.webhooks_to(receiver), run_id) end
  place_receiver(receiver)
end
