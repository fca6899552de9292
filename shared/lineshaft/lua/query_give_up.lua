-- The asker of a question has waited long enough: what nobody has begun to do for it will not be done.
-- FLAGS allow-oom
-- USES lib/answered lib/index lib/queue
-- ARGV query_id
-- A change of a state is made under a lock with the question's id: once it is open, the change is refused (fenced).
-- Returns 1, or 0 if the change has been written, or is over, already: then its answer is worth waiting for.
if answered(query_id) then return 0 end
local lock = redis.call('HMGET', K.run(query_id), 'lock', 'wrote', 'thread')
if lock[1] then
  if lock[2] then return 0 end
  unlock(query_id)
  set_thread_status(lock[3])
end
redis.call('DEL', K.query(query_id), K.query_answer(query_id))
return 1
