-- Say which crons are due, or when the next one is.
-- FLAGS allow-oom
-- USES lib/now
-- ARGV scheduler limit
-- Returns the time, and ids and times of up to `limit` crons that are due; or, if there are none, the time and how many ms
-- from now the next one is (-1: no timer to set). One scheduler at a time keeps the timer; the others look now and then,
-- so if it dies they are late at worst. Which of them fires is settled by cron_fire.lua.
local due = redis.call('ZRANGE', K.crons_due(), '-inf', now, 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES')
local found = { now, -1 }
for i = 1, #due, 2 do
  if redis.call('HEXISTS', K.cron(due[i]), 'head') == 1 then
    found[#found + 1] = due[i]
    found[#found + 1] = due[i + 1]
  else
    redis.call('ZREM', K.crons_due(), due[i]) -- an operator may have deleted the record
  end
end
if #due > 0 then return found end

local head = redis.call('ZRANGE', K.crons_due(), 0, 0, 'WITHSCORES')
if not head[1] then return found end
local want = tonumber(head[2])
local holder = redis.call('GET', K.timer('crons'))
local at, who = string.match(holder or '', '^(%d+) (.+)$')
if at and who ~= scheduler and tonumber(at) > now and tonumber(at) <= want then return found end
local wait = math.ceil(want - now)
-- ms beyond the wait: for so long after the time nobody else takes the timer of one that is about to wake.
redis.call('SET', K.timer('crons'), string.format('%.0f', want) .. ' ' .. scheduler, 'PX', wait + 500)
found[2] = wait
return found
