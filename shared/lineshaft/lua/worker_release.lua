-- A worker is gone, and its parent knows: give its runs back at once, without waiting for the lease.
-- FLAGS allow-oom
-- USES lib/reap
-- ARGV worker crashed max_crashes
-- Returns the number of runs it held.
return release_worker(worker, crashed == '1', max_crashes, crashed == '1' and 'worker died' or 'worker stopped')
