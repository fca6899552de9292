-- Find where a reader goes on in a thread's log who has had all entries up to a sequence number, without reading it.
-- FLAGS no-writes
-- ARGV thread_id seq
-- Returns the id of the last entry whose number is `seq` at most (of the newest, which may be gone, if all are; '0-0' if
-- some behind `seq` are gone), and the newest number.
local log = K.thread_events(thread_id)
local wanted = tonumber(seq)
local state = redis.call('HMGET', K.thread(thread_id), 'seq', 'log_ms', 'log_n', 'log_trimmed')
local newest = tonumber(state[1] or 0)
if wanted >= newest then return { (state[2] or '0') .. '-' .. (state[3] or '0'), newest } end

-- The first entry at or behind an id: its number, ms and n.
local function entry_at(id)
  local found = redis.call('XRANGE', log, id, '+', 'COUNT', 1)[1]
  if not found then return nil end
  local ms, n = string.match(found[1], '^(%d+)-(%d+)$')
  for i = 1, #found[2], 2 do
    if found[2][i] == 's' then return tonumber(found[2][i + 1]), tonumber(ms), tonumber(n) end
  end
end

local first, low = entry_at('-')
if not first then return { '0-0', newest } end
if first > wanted then return { first == wanted + 1 and state[4] or '0-0', newest } end

-- Numbers rise with the ids: the last ms that begins with a number not too high, and in it the last such entry.
local function id_of(ms, n) return string.format('%.0f-%d', ms, n) end
local high = tonumber(state[2])
while low < high do
  local middle = math.ceil((low + high) / 2)
  local number = entry_at(id_of(middle, 0))
  if number and number <= wanted then low = middle else high = middle - 1 end
end
local _, ms, low_n = entry_at(id_of(low, 0))
local high_n = 9999
while low_n < high_n do
  local middle = math.ceil((low_n + high_n) / 2)
  local number, at = entry_at(id_of(ms, middle))
  if number and number <= wanted and at == ms then low_n = middle else high_n = middle - 1 end
end
local _, _, n = entry_at(id_of(ms, low_n))
return { id_of(ms, n), newest }
