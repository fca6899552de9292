-- Remove up to `limit` items of the long-term store whose time is over. Returns how many.
-- FLAGS allow-oom
-- USES lib/store
-- ARGV limit
return sweep(tonumber(limit))
