-- Read items of the long-term store, and give them their full time to live again where that is wanted.
-- FLAGS allow-oom
-- USES lib/now lib/store
-- ARGV wanted...
-- `wanted` are triples: namespace, key, 1 to refresh. Returns a document or false for each.
local documents = {}
for i = 1, #wanted, 3 do
  local doc, ttl = document(wanted[i], wanted[i + 1])
  if doc and ttl ~= '' and wanted[i + 2] == '1' then
    redis.call('ZADD', K.store_expiry(), now + ttl, expiry_member(wanted[i], wanted[i + 1]))
  end
  documents[#documents + 1] = doc
end
return documents
