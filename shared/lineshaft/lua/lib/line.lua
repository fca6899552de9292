-- The line in which the due runs of a queue stand until they are claimed, and every run's place in it.
--
-- `K.queue` has the runs by due time, as arq reads them; `K.line` has those that can be claimed, by the place of each:
--   below 0: eleven bands, one for each priority, the highest first; in a band the round in which the turn comes
--   above 0: the due time of a run that had no place yet when it was put there (run_claim.lua gives it one in time)
-- In each round a tenant has one turn in its band. Who comes gets the present round, and the next ones for what it sends
-- more: so the first run of one does not wait for the thousandth of another. `K.share` keeps the count, a field for each
-- band, `v<band>`: the round that is being served; and for each tenant that has runs waiting, `<band> <tenant>`: its next
-- free round, and how many wait. A tenant of which none waits is forgotten, so cancelled runs cost it no turns later.
-- USES lib/now

-- Runs that must not wait for a slot: those that a running one waits for, and those that only have to be settled.
local OVERFLOW = 'overflow'
-- So deep may runs that wait for each other be nested. A worker keeps a slot free for each level (run_claim.lua).
local MAX_DEPTH = 8
-- Rounds of a band: more than are ever served, and small enough for eleven bands to be exact in a double.
local BAND = 2 ^ 48
local BANDS = 11
-- How long (ms) a run of the next band must have waited longer to come first. In the overflow queue a level comes before
-- all shallower ones, if those do not wait for a day.
local AGEING = 60000
local AGEING_OF_LEVELS = 86400000

-- One token rests in the list at most; the worker that pops it looks for work and, if there is more, wakes the next.
local function wake(queue)
  if redis.call('LLEN', K.wake(queue)) == 0 then redis.call('RPUSH', K.wake(queue), '1') end
end

local function band_at(place) return math.floor(tonumber(place) / BAND) + BANDS end

-- The first place of the band behind a band.
local function end_of(band) return string.format('%.0f', (band - BANDS + 1) * BAND) end

-- By this (ms) bands are compared, the least comes first: a band has waited as long as its first run, which was due at
-- `score` and not before `not_before`, and each band further back counts as so much less waiting.
local function since_of(queue, band, score, not_before)
  local since = math.max(tonumber(score), tonumber(not_before or 0))
  return since + band * (queue == OVERFLOW and AGEING_OF_LEVELS or AGEING)
end

-- What waits for nobody frees what others wait for, so it comes first; then the deepest.
local function band_in_overflow(depth, settles)
  return BANDS - 1 - (settles and MAX_DEPTH + 1 or tonumber(depth or 0))
end

local function band_of_priority(priority) return 5 - tonumber(priority or 0) end

-- The field of a tenant; in the overflow queue there is one for all: what stands there holds somebody up.
local function field_of(queue, band, tenant)
  return band .. ' ' .. (queue == OVERFLOW and '' or tenant or '')
end

-- The next free place for a run. It counts as waiting from now on: its record is to say so (`place`, `counted`).
local function new_place(queue, band, tenant)
  local field = field_of(queue, band, tenant)
  local found = redis.call('HMGET', K.share(queue), 'v' .. band, field)
  local free, waiting = string.match(found[2] or '0 0', '^(%d+) (%d+)$')
  local round = math.max(tonumber(found[1] or 0), tonumber(free))
  redis.call('HSET', K.share(queue), field, string.format('%.0f %d', round + 1, waiting + 1))
  return string.format('%.0f', (band - BANDS) * BAND + round)
end

-- A run that was claimed waits again, at its place.
local function count_again(queue, place, tenant)
  local band = band_at(place)
  local field = field_of(queue, band, tenant)
  local free, waiting = string.match(redis.call('HGET', K.share(queue), field) or '0 0', '^(%d+) (%d+)$')
  local round = tonumber(place) - (band - BANDS) * BAND
  redis.call('HSET', K.share(queue), field, string.format('%.0f %d', math.max(tonumber(free), round + 1), waiting + 1))
end

-- A run waits no longer; if it is served, so is its round.
local function uncount(queue, place, tenant, is_served)
  local band = band_at(place)
  local field = field_of(queue, band, tenant)
  local found = redis.call('HMGET', K.share(queue), 'v' .. band, field)
  local free, waiting = string.match(found[2] or '0 0', '^(%d+) (%d+)$')
  if tonumber(waiting) > 1 then
    redis.call('HSET', K.share(queue), field, free .. ' ' .. waiting - 1)
  else
    redis.call('HDEL', K.share(queue), field)
  end
  local round = tonumber(place) - (band - BANDS) * BAND
  if is_served and round > tonumber(found[1] or 0) then
    redis.call('HSET', K.share(queue), 'v' .. band, string.format('%.0f', round))
  end
end
