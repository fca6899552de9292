-- Whose turn it is: among the bands of a line, and among the queues that share a worker's room.
-- USES lib/line lib/now

-- Runs that get their place in one call.
local PLACED = 32

-- Give a place to the runs whose time has come. Returns when (ms) the next one is due, nil if none is.
local function place_due(queue)
  local found = redis.call('ZRANGEBYSCORE', K.line(queue), 0, '+inf', 'WITHSCORES', 'LIMIT', 0, PLACED)
  for i = 1, #found, 2 do
    local run_id, due = found[i], tonumber(found[i + 1])
    if due >= now + 1 then return due end
    local run = redis.call('HMGET', K.run(run_id), 'status', 'place', 'priority', 'tenant', 'depth', 'cancel', 'dead')
    if run[1] ~= 'pending' then
      redis.call('ZREM', K.line(queue), run_id)
    else
      local place = run[2]
      if not place then
        local band = queue == OVERFLOW and band_in_overflow(run[5], run[6] or run[7]) or band_of_priority(run[3])
        place = new_place(queue, band, run[4])
        redis.call('HSET', K.run(run_id), 'place', place, 'counted', '1')
      end
      redis.call('ZADD', K.line(queue), place, run_id)
    end
  end
  -- There are more: whoever is woken by this goes on.
  if #found == 2 * PLACED then wake(queue) end
end

-- Read some more of a band, or of those behind it. What was passed by still stands at the front of the band; all else
-- that was looked at has left the line.
local function read_on(line, from, till, passed)
  local found = redis.call('ZRANGEBYSCORE', K.line(line.queue), from, till, 'WITHSCORES', 'LIMIT', passed, line.page)
  for i = 1, #found, 2 do
    local number = band_at(found[i + 1])
    local band = line.bands[number]
    if not band then
      band = { number = number, ids = {}, at = 1, passed = 0 }
      line.bands[number] = band
    end
    band.ids[#band.ids + 1] = found[i]
  end
  return #found == 2 * line.page and band_at(found[#found]) or nil
end

-- The due runs of a queue, in the order in which they are claimed. `shares` see run_claim.lua.
local function open_line(queue, room, shares)
  -- A few more than there is room for, so that what must be passed by does not hide what is behind it.
  local line = { queue = queue, page = room + 8, bands = {}, weight = 1, held = 0, served = 0, next_due = place_due(queue) }
  local weight, held, served = string.match(shares, '\n' .. string.gsub(queue, '%-', '%%-') .. ' (%d+) (%d+) ([%d.e+-]+)\n')
  if weight then line.weight, line.held, line.served = tonumber(weight), tonumber(held), tonumber(served) end
  -- A page that is full may hide the bands behind the one in which it ends.
  local last = read_on(line, '-inf', '(0', 0)
  while last do
    line.bands[last].is_cut = true
    last = read_on(line, end_of(last), '(0', 0)
  end
  return line
end

-- The run whose turn it is, and its record; nil if none is left. A band's first run stands for the band.
local function first_of(line, read, AT)
  local best, best_since
  for number = 0, BANDS - 1 do
    local band = line.bands[number]
    while band and not band.run do
      local run_id = band.ids[band.at]
      if not run_id and band.is_cut then
        band.is_cut, band.ids, band.at = false, {}, 1
        if read_on(line, end_of(number - 1), '(' .. end_of(number), band.passed) then
          band.is_cut = true
        end
        run_id = band.ids[1]
      end
      if not run_id then break end
      local run = read(run_id)
      if run[AT.status] == 'pending' then
        band.run = run
      else
        -- Left behind by an operator's hand, or by a worker of an older version.
        redis.call('ZREM', K.line(line.queue), run_id)
        if run[AT.status] ~= 'running' then redis.call('ZREM', K.queue(line.queue), run_id) end
        band.at = band.at + 1
      end
    end
    if band and band.run then
      local since = since_of(line.queue, number, band.run[AT.score], band.run[AT.not_before])
      if not best or since < best_since then best, best_since = band, since end
    end
  end
  line.best = best
  if best then return best.ids[best.at], best.run end
end

-- The first run has left the line.
local function go_on(line)
  line.best.run, line.best.at = nil, line.best.at + 1
end

-- The first run stays where it is, and those behind it have their turn.
local function pass_by(line)
  line.best.passed = line.best.passed + 1
  go_on(line)
end

-- Which queue gives the next run: the one of which the worker holds the fewest for its weight, so that each has its share of
-- the slots, and an idle one's goes to the others; where they are even, the one that was served the least (`served`, in
-- runs for its weight), so that of a single slot each has its share of the time.
local function next_turn(lines)
  local best = 1
  for i = 2, #lines do
    local a, b = lines[i], lines[best]
    local held, least = a.held / a.weight, b.held / b.weight
    if held < least or held == least and a.served < b.served then best = i end
  end
  return best
end
