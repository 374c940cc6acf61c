-- Changes one record, if it is as expected.
-- KEYS  1 index (hash: key -> version), 2 meta (hash: epoch, last), 3 the record ("VERSION\nVALUE")
-- ARGV  1 "put" or "delete", 2 key, 3 "any", "none" or "is", 4 expected version, 5 version of the change, 6 value, 7 most records, 8 channel
-- Returns {1} or {0, "VERSION\nVALUE" or false}; {-1} when there are too many records.
local version = redis.call('HGET', KEYS[1], ARGV[2])
local wanted = ARGV[3]
if (wanted == 'none' and version) or (wanted == 'is' and version ~= ARGV[4]) then
  return {0, version and redis.call('GET', KEYS[3])}
end
if ARGV[1] == 'put' then
  if not version and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[7]) then return {-1} end
  redis.call('SET', KEYS[3], ARGV[5] .. '\n' .. ARGV[6])
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[5])
elseif version then
  redis.call('DEL', KEYS[3])
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  return {1}
end
-- Whoever knows another epoch knows records that this Redis has lost.
redis.call('HSETNX', KEYS[2], 'epoch', ARGV[5])
redis.call('HSET', KEYS[2], 'last', ARGV[5])
redis.call('PUBLISH', ARGV[8], ARGV[2])
return {1}
