-- Pass a wake token on that this worker cannot use.
-- FLAGS allow-oom
-- USES lib/queue
-- ARGV queue
wake(queue)
return 1
