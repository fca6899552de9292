-- Look whether some threads are consistent with their runs, and mend what is not.
-- FLAGS allow-oom
-- USES lib/repair
-- ARGV max_crashes thread_ids...
-- Returns pairs: what was wrong, and the thread.
for _, thread_id in ipairs(thread_ids) do repair_thread(thread_id, max_crashes) end
return repairs
