-- Take or keep the office of looking for inconsistencies; one worker of the fleet has it.
-- FLAGS allow-oom
-- ARGV candidate term
-- `term` in ms. Returns 1 if the candidate has the office.
local holder = redis.call('GET', K.reconciler())
if holder and holder ~= candidate then return 0 end
redis.call('SET', K.reconciler(), candidate, 'PX', term)
return 1
