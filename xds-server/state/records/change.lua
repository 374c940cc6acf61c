-- Changes one record, if it is as expected.
-- KEYS  1 index (hash: key -> version), 2 meta (hash: epoch, generation, changes, last, kept:PREFIX), 3 the record ("VERSION\nVALUE")
-- ARGV  1 "put" or "delete", 2 key, 3 "any", "none", "is" or "lost", 4 expected version, 5 random part of a version, 6 value, 7 most records, 8 channel,
--       9 greatest generation that the caller knows, 10 version that the record keeps, or "", 11 prefix, of "lost"
-- "lost": there is none, and nobody who has put back what is below the prefix knew this version: he would have known of its deletion.
-- Returns {1, version of the record} or {0, "VERSION\nVALUE" or false}; {-1} when there are too many records.
local version = redis.call('HGET', KEYS[1], ARGV[2])
local wanted = ARGV[3]
local upTo = wanted == 'lost' and redis.call('HGET', KEYS[2], 'kept:' .. ARGV[11])
local known = upTo and not newer(ARGV[10], upTo)
if (wanted == 'none' or wanted == 'lost') and version or wanted == 'is' and version ~= ARGV[4] or known then
  return {0, version and redis.call('GET', KEYS[3])}
end
if ARGV[1] == 'put' and not version and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[7]) then return {-1} end
if ARGV[1] == 'delete' and not version then return {1, ''} end
-- Whoever knows another epoch knows records that this Redis has lost.
local change = advance(KEYS[2], ARGV[5], ARGV[9])
local kept = ARGV[10] ~= '' and ARGV[10] or change
if ARGV[1] == 'put' then
  redis.call('SET', KEYS[3], kept .. '\n' .. ARGV[6])
  redis.call('HSET', KEYS[1], ARGV[2], kept)
else
  redis.call('DEL', KEYS[3])
  redis.call('HDEL', KEYS[1], ARGV[2])
  kept = ''
end
redis.call('HSET', KEYS[2], 'last', change)
redis.call('PUBLISH', ARGV[8], ARGV[2])
return {1, kept}
