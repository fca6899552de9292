-- One bounded step of a search for threads, by the indexes. Returns the next cursor ('' at the end), then ids in order.
-- FLAGS no-writes
-- ARGV order descending cursor want status leaves...
--
-- An id that begins with '?' is a thread with more leaves than are indexed: the caller must look at its metadata.
-- Two plans: intersect and sort when the smallest set is small, else walk the order and ask the sets. The cursor says
-- which one, so a search keeps to its plan: 's<place in the result>' or 'w<place in the order>'.
local SORT_LIMIT = 5000 -- members; sorting more would hold up everybody else for more than about 10 ms
local WALK_LIMIT = 10000 -- members per call, over all sets that are asked about them, for the same reason
local PAGE = 1000 -- members per command: Lua's unpack fails at 8,000

local orders = {
  created_at = K.threads_by_created(),
  updated_at = K.threads_by_updated(),
  state_updated_at = K.threads_by_state_updated(),
  thread_id = K.threads_by_id(),
}
local in_order = orders[order]
local down = descending == '1'
want = math.min(tonumber(want), WALK_LIMIT)

local sets, partial = {}, nil
for i, leaf in ipairs(leaves) do sets[i] = K.threads_with(leaf) end
local with_status = status ~= '' and K.threads_with_status(status) or nil
if #leaves > 0 and redis.call('EXISTS', K.threads_with('*')) == 1 then partial = K.threads_with('*') end

local function page(first, last)
  if down then return redis.call('ZRANGE', in_order, first, last, 'REV') end
  return redis.call('ZRANGE', in_order, first, last)
end

-- The size of the smallest set that all results are in.
local function smallest()
  local size = with_status and redis.call('SCARD', with_status) or nil
  if #sets == 0 then return size end
  local by_leaf
  for _, set in ipairs(sets) do
    local card = redis.call('SCARD', set)
    if not by_leaf or card < by_leaf then by_leaf = card end
  end
  if partial then by_leaf = by_leaf + redis.call('SCARD', partial) end
  return (size and size < by_leaf) and size or by_leaf
end

local function intersection(keys)
  if with_status then keys[#keys + 1] = with_status end
  return redis.call('SINTER', unpack(keys))
end

local function sorted(first)
  local all = intersection({ unpack(sets) })
  local certain = {}
  for _, id in ipairs(all) do certain[id] = true end
  if partial then
    for _, id in ipairs(intersection({ partial })) do
      if not certain[id] then all[#all + 1] = id end
    end
  end
  local rows = {}
  for i = 1, #all, PAGE do
    local ids = { unpack(all, i, math.min(i + PAGE - 1, #all)) }
    local scores = redis.call('ZMSCORE', in_order, unpack(ids))
    for j, id in ipairs(ids) do
      if scores[j] then rows[#rows + 1] = { tonumber(scores[j]), id } end
    end
  end
  table.sort(rows, function(a, b)
    if down then a, b = b, a end
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  local found = { first + want < #rows and 's' .. (first + want) or '' }
  for i = first + 1, math.min(first + want, #rows) do
    found[#found + 1] = (certain[rows[i][2]] and '' or '?') .. rows[i][2]
  end
  return found
end

local function walk(place)
  local asked = #sets + (partial and 1 or 0) + (with_status and 1 or 0)
  local found, stop = { '' }, place + math.max(PAGE, math.floor(WALK_LIMIT / math.max(1, asked)))
  while true do
    local ids = page(place, place + PAGE - 1)
    if #ids == 0 then return found end
    local hits = {}
    for i = 1, #ids do hits[i] = 1 end
    local function need(set)
      for i, is in ipairs(redis.call('SMISMEMBER', set, unpack(ids))) do
        if is == 0 then hits[i] = 0 end
      end
    end
    for _, set in ipairs(sets) do need(set) end
    if partial then
      for i, is in ipairs(redis.call('SMISMEMBER', partial, unpack(ids))) do
        if is == 1 and hits[i] == 0 then hits[i] = 2 end
      end
    end
    if with_status then need(with_status) end
    for i, id in ipairs(ids) do
      place = place + 1
      if hits[i] > 0 then found[#found + 1] = (hits[i] == 2 and '?' or '') .. id end
      if #found > want then break end
    end
    if #found > want or place >= stop then
      found[1] = 'w' .. place
      return found
    end
  end
end

local plan, first = string.sub(cursor, 1, 1), tonumber(string.sub(cursor, 2)) or 0
if plan == '' then
  local size = smallest()
  plan = 'w'
  if size and size <= SORT_LIMIT then
    local expected_walk = want * redis.call('ZCARD', in_order) / math.max(size, 1)
    if size <= math.max(expected_walk, 100) then plan = 's' end -- 100: so few that planning costs more than sorting
  end
end
if plan == 's' then return sorted(first) end
return walk(first)
