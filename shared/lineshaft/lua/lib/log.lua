-- The event log of a thread. Needs lib/now.
--
-- Entry fields: r run id, a attempt, e event name, s thread-wide sequence number, and d data (JSON) or k the id of a
-- blob that holds it. Ids are explicit and rise even if the clock steps back; the thread's hash keeps the last one.

-- 64 MiB: beyond it the oldest entries go, and readers of them are told of a gap.
local LOG_BYTES = 67108864

local function trim_to_size(thread_id, bytes)
  local log = K.thread_events(thread_id)
  while bytes > LOG_BYTES do
    local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 64)
    if #oldest < 2 then break end
    for i, entry in ipairs(oldest) do
      if bytes <= LOG_BYTES then break end
      for f = 1, #entry[2], 2 do
        if entry[2][f] == 'd' then bytes = bytes - #entry[2][f + 1] end
        if entry[2][f] == 'k' then redis.call('UNLINK', K.blob(entry[2][f + 1])) end
      end
      redis.call('XDEL', log, entry[1])
    end
  end
  return bytes
end

-- Append `entries`, a flat list of event name, kind ('d' or 'k') and value. Rings the thread's bell.
local function append(thread_id, run_id, attempt, entries)
  local thread = K.thread(thread_id)
  local log = K.thread_events(thread_id)
  local last = redis.call('HMGET', thread, 'log_ms', 'log_n', 'seq', 'log_bytes')
  local ms, n = tonumber(last[1] or 0), tonumber(last[2] or 0)
  local seq, bytes = tonumber(last[3] or 0), tonumber(last[4] or 0)
  -- The log has expired since, and all that was counted with it.
  if bytes > 0 and redis.call('EXISTS', log) == 0 then bytes = 0 end
  local first
  for i = 1, #entries, 3 do
    if now > ms then
      ms, n = now, 0
    elseif n < 9999 then
      n = n + 1
    else
      ms, n = ms + 1, 0 -- clients compare ids as text, with n padded to four digits
    end
    seq = seq + 1
    local id = string.format('%.0f-%d', ms, n)
    first = first or id
    redis.call('XADD', log, id, 'r', run_id, 'a', attempt, 'e', entries[i], 's', seq, entries[i + 1], entries[i + 2])
    if entries[i + 1] == 'd' then bytes = bytes + #entries[i + 2] end
  end
  if bytes > LOG_BYTES then bytes = trim_to_size(thread_id, bytes) end
  redis.call('HSET', thread, 'log_ms', string.format('%.0f', ms), 'log_n', n, 'seq', seq, 'log_bytes', bytes)
  if first then redis.call('HSETNX', K.run(run_id), 'first', first) end
  redis.call('PUBLISH', K.thread_bell(thread_id), run_id)
end

-- Let the log die `ttl` ms after this run's end, but not before the runs that asked for longer, nor while another run
-- writes to it: then that one's end sets the time.
local function expire_log(thread_id, ttl)
  local thread = K.thread(thread_id)
  local until_ms = math.max(now + ttl, tonumber(redis.call('HGET', thread, 'log_until') or 0))
  redis.call('HSET', thread, 'log_until', string.format('%.0f', until_ms))
  if redis.call('HEXISTS', thread, 'active') == 1 then return end
  redis.call('PEXPIREAT', K.thread_events(thread_id), string.format('%.0f', until_ms))
end
