-- Note what an operator does.
-- FLAGS allow-oom
-- USES lib/answered
-- ARGV request kept who action target where count outcome
-- A full Redis takes it too: then operators have most to do. `request` names the call, see lib/answered. `where` is JSON;
-- about `kept` entries are kept. Returns 1.
if answered(request) then return 1 end
redis.call('XADD', K.audit(), 'MAXLEN', '~', kept, '*', 'who', who, 'action', action, 'target', target, 'where', where,
  'count', count, 'outcome', outcome)
remember(request, 1)
return 1
