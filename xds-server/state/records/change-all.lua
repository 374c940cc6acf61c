-- Changes several records, if all of them are as expected.
-- KEYS  1 index (hash: key -> version), 2 meta (hash: epoch, generation, changes, last), from 3 on the records ("VERSION\nVALUE")
-- ARGV  1 random part of a version, 2 most records, 3 channel, 4 greatest generation that the caller knows, then five for each record:
--       "put" or "delete", key, "any", "none" or "is", expected version, value
-- Returns {1, version of all that were put} or {0, place of the first that is another, "VERSION\nVALUE" or false}; {-1} when there would be too many records.
local versions = {}
local more = 0
local changes = false
for at = 1, #KEYS - 2 do
  local base = 5 * at - 1
  local version = redis.call('HGET', KEYS[1], ARGV[base + 2])
  local wanted = ARGV[base + 3]
  if wanted == 'none' and version or wanted == 'is' and version ~= ARGV[base + 4] then
    return {0, at - 1, version and redis.call('GET', KEYS[at + 2])}
  end
  versions[at] = version
  if ARGV[base + 1] == 'put' then
    changes = true
    if not version then more = more + 1 end
  elseif version then
    changes = true
    more = more - 1
  end
end
if not changes then return {1, ''} end
if more > 0 and redis.call('HLEN', KEYS[1]) + more > tonumber(ARGV[2]) then return {-1} end
local change = advance(KEYS[2], ARGV[1], ARGV[4])
for at = 1, #KEYS - 2 do
  local base = 5 * at - 1
  if ARGV[base + 1] == 'put' then
    redis.call('SET', KEYS[at + 2], change .. '\n' .. ARGV[base + 5])
    redis.call('HSET', KEYS[1], ARGV[base + 2], change)
  elseif versions[at] then
    redis.call('DEL', KEYS[at + 2])
    redis.call('HDEL', KEYS[1], ARGV[base + 2])
  end
end
redis.call('HSET', KEYS[2], 'last', change)
redis.call('PUBLISH', ARGV[3], ARGV[6])
return {1, change}
