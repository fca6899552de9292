-- Which description of a graph is served while workers of several revisions live (a rolling deploy).
--
-- A worker's hash has `graph:<id>` -> revision for each of its graphs. A graph's hash keeps, for every revision that
-- lives, `doc:`, `error:` and `first:` (ms of its first publication), and the chosen one under the plain names.

local function graphs_of(worker)
  local found = {}
  for _, field in ipairs(redis.call('HKEYS', K.worker(worker))) do
    found[#found + 1] = string.match(field, '^graph:(.*)$')
  end
  return found
end

-- Serve the living revision that was published last for the first time: a worker of the old revision that starts again
-- in the middle of a deploy does not bring it back, and after a rollback it is the only one. `candidate` counts as
-- living. Without any, what was served stays.
local function choose_revision(graph_id, candidate)
  local key = K.graph(graph_id)
  local best = candidate
  local best_first = best and tonumber(redis.call('HGET', key, 'first:' .. best)) or -1
  for _, worker in ipairs(redis.call('ZRANGE', K.workers(), 0, -1)) do
    local revision = redis.call('HGET', K.worker(worker), 'graph:' .. graph_id)
    if revision and revision ~= best then
      local first = tonumber(redis.call('HGET', key, 'first:' .. revision) or 0)
      if first > best_first then best, best_first = revision, first end
    end
  end
  if not best then return end
  local chosen = redis.call('HMGET', key, 'doc:' .. best, 'error:' .. best)
  redis.call('HSET', key, 'descriptor', chosen[1], 'revision', best)
  if chosen[2] then redis.call('HSET', key, 'error', chosen[2]) else redis.call('HDEL', key, 'error') end
  return best
end
