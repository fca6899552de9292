-- Room for what is new. Redis refuses it at 100 % of maxmemory by itself; but runs under way must have something left.
local FULL = 0.9

-- The refusal when Redis is nearly full, else nil. Memory is looked at once a second at most, whoever asks: a look
-- costs more than the rest of a small script.
local function refusal_when_full()
  local found = redis.call('GET', K.memory())
  if not found then
    local info = redis.call('INFO', 'memory')
    local function bytes(name) return tonumber(string.match(info, '\n' .. name .. ':(%d+)') or 0) end
    local limit = bytes('maxmemory')
    -- Buffers for replicas and the append-only file do not count for Redis either.
    local used = bytes('used_memory') - bytes('mem_not_counted_for_evict')
    found = ''
    if limit > 0 and used > FULL * limit then
      found = string.format('%.1f of %.1f MiB (maxmemory)', used / 1048576, limit / 1048576)
    end
    redis.call('SET', K.memory(), found, 'PX', 1000)
  end
  if found == '' then return nil end
  return 'FULL Redis is nearly full, ' .. found .. ' are in use. Runs under way go on; new ones are accepted again below '
    .. string.format('%.0f', FULL * 100) .. ' %. Delete threads, or raise maxmemory.'
end
