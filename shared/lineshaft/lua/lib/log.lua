-- The event log of a thread.
--
-- Entry fields: r run id, a attempt, e event name, s thread-wide sequence number, and d data (JSON), or k `<id>:<bytes>`
-- of a blob that holds it. Ids are explicit and rise even if the clock steps back; the thread's hash keeps the last one,
-- and the last one that was trimmed: a reader from before it is told of a gap.
-- USES lib/now

-- 64 MiB, blobs counted.
local LOG_BYTES = 67108864
-- Entries that one script looks at to trim: a few ms of Redis. What is left is trimmed by the next one.
local TRIMMED_AT_ONCE = 2048

local function size_of(kind, value)
  if kind == 'd' then return #value end
  return tonumber(string.match(value, ':(%d+)$'))
end

local function blob_of(value) return string.match(value, '^[^:]*') end

-- A blob has a long TTL from its writer; `expire_log` shortens it when its run ends. More than 256 (of 256 KiB at least)
-- are never in a log.
local function keep_blob(run_id, blob_id)
  redis.call('RPUSH', K.run_blobs(run_id), blob_id)
  redis.call('LTRIM', K.run_blobs(run_id), -256, -1)
  redis.call('PEXPIRE', K.run_blobs(run_id), redis.call('PTTL', K.blob(blob_id)))
end

-- Remove the oldest entries while `too_old(bytes, id)`; returns how many bytes are left.
local function trim(thread_id, bytes, too_old)
  local log = K.thread_events(thread_id)
  local trimmed
  for _ = 1, TRIMMED_AT_ONCE, 64 do
    local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 64)
    for _, entry in ipairs(oldest) do
      if #oldest < 2 or not too_old(bytes, entry[1]) then oldest = {} break end
      for f = 1, #entry[2], 2 do
        local kind, value = entry[2][f], entry[2][f + 1]
        if kind == 'd' or kind == 'k' then bytes = bytes - size_of(kind, value) end
        if kind == 'k' then redis.call('UNLINK', K.blob(blob_of(value))) end
      end
      redis.call('XDEL', log, entry[1])
      trimmed = entry[1]
    end
    if #oldest < 64 then break end
  end
  if trimmed then redis.call('HSET', K.thread(thread_id), 'log_trimmed', trimmed) end
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
  if bytes > 0 and redis.call('EXISTS', log) == 0 then
    bytes = 0
    redis.call('HSET', thread, 'log_trimmed', last[1] .. '-' .. last[2])
  end
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
    bytes = bytes + size_of(entries[i + 1], entries[i + 2])
    if entries[i + 1] == 'k' then keep_blob(run_id, blob_of(entries[i + 2])) end
  end
  if bytes > LOG_BYTES then bytes = trim(thread_id, bytes, function(left) return left > LOG_BYTES end) end
  redis.call('HSET', thread, 'log_ms', string.format('%.0f', ms), 'log_n', n, 'seq', seq, 'log_bytes', bytes)
  if first then redis.call('HSETNX', K.run(run_id), 'first', first) end
  redis.call('PUBLISH', K.thread_bell(thread_id), run_id)
end

-- A run has ended, whose events live for `ttl` ms more. Let the log die then, but not before the runs that asked for
-- longer, nor while another run writes to it: then that one's end sets the time. And drop what is past its time.
local function expire_log(thread_id, run_id, ttl)
  local thread = K.thread(thread_id)
  local state = redis.call('HMGET', thread, 'log_until', 'log_ttl', 'log_bytes', 'active')
  local until_ms = math.max(now + ttl, tonumber(state[1] or 0))
  local longest = math.max(ttl, tonumber(state[2] or 0))
  redis.call('HSET', thread, 'log_until', string.format('%.0f', until_ms), 'log_ttl', string.format('%.0f', longest))
  -- Nothing of this run, however long it took.
  local first = tonumber(string.match(redis.call('HGET', K.run(run_id), 'first') or '', '^%d+')) or now
  local oldest_kept = math.min(now - longest, first)
  local bytes = tonumber(state[3] or 0)
  local left = trim(thread_id, bytes, function(_, id) return tonumber(string.match(id, '^%d+')) < oldest_kept end)
  if left ~= bytes then redis.call('HSET', thread, 'log_bytes', left) end
  for _, blob_id in ipairs(redis.call('LRANGE', K.run_blobs(run_id), 0, -1)) do
    redis.call('PEXPIRE', K.blob(blob_id), ttl)
  end
  redis.call('UNLINK', K.run_blobs(run_id))
  if not state[4] then redis.call('PEXPIREAT', K.thread_events(thread_id), string.format('%.0f', until_ms)) end
end
