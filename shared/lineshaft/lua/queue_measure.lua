-- How full the queues are, how long runs have waited in them, and who is there to take them.
-- FLAGS no-writes
-- USES lib/now
-- ARGV queues...
-- `queues` are those of the configuration; others that were ever used are found.
-- Returns a list: live workers, their slots, dead letters; threads that are idle, busy, interrupted and in error,
-- temporary threads; then per queue: its name; runs that can be claimed, that are due later, that are claimed, that wait for
-- another of their thread, for which a limit has no slot; and for how long (ms) the one in the middle of those that can be
-- claimed, and the one that has waited longest, have waited for a worker (-1: there is none).

-- Claimed runs stand ten years ahead (lib/queue.lua), and no run is due later than in one.
local CLAIMED = now + 86400000 * 365 * 5

-- How long runs that can be claimed have waited, the shortest first: of some from the front of the line to its end. Where one
-- stands says little: one that had to wait for its thread comes with its old due time, and tenants take turns.
local LOOKS = 16
local function waits(queue, ready)
  local out = {}
  for i = 0, math.min(ready, LOOKS) - 1 do
    local rank = ready <= LOOKS and i or math.floor(i * (ready - 1) / (LOOKS - 1))
    local run_id = redis.call('ZRANGE', K.line(queue), rank, rank)[1]
    out[#out + 1] = math.max(0, math.floor(now - tonumber(redis.call('HGET', K.run(run_id), 'ready') or now)))
  end
  table.sort(out)
  return out
end

local alive = redis.call('ZRANGEBYSCORE', K.workers(), now, '+inf')
local slots = 0
for _, worker in ipairs(alive) do slots = slots + tonumber(redis.call('HGET', K.worker(worker), 'slots') or 0) end
local out = { #alive, slots, redis.call('XLEN', K.dead()) }
for _, status in ipairs({ 'idle', 'busy', 'interrupted', 'error' }) do
  out[#out + 1] = redis.call('SCARD', K.threads_with_status(status))
end
out[#out + 1] = redis.call('ZCARD', K.threads_temporary())
local known = {}
for _, queue in ipairs(queues) do known[queue] = true end
for _, queue in ipairs(redis.call('HKEYS', K.queues())) do
  if not known[queue] then queues[#queues + 1] = queue end
end
-- Thousandths of a ms only count the runs that were made in one.
local till = '(' .. now + 1
for _, queue in ipairs(queues) do
  local all = redis.call('ZCARD', K.queue(queue))
  local due = redis.call('ZCOUNT', K.queue(queue), '-inf', till)
  local claimed = redis.call('ZCOUNT', K.queue(queue), CLAIMED, '+inf')
  local ready = redis.call('ZCOUNT', K.line(queue), '-inf', till)
  local waited = waits(queue, ready)
  for _, value in ipairs({ queue, ready, all - due - claimed, claimed,
    math.max(0, redis.call('SCARD', K.runs_open_in(queue)) - all), math.max(0, due - ready),
    waited[math.ceil(#waited / 2)] or -1, waited[#waited] or -1 }) do
    out[#out + 1] = value
  end
end
return out
