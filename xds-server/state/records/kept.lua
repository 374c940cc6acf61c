-- Somebody has put back all that he knew below a prefix: what he did not know, up to the last change that he knew, was deleted.
-- KEYS  1 meta
-- ARGV  1 prefix, 2 version of the last change that he knew, 3 random part of a version, 4 greatest generation that he knows
local field = 'kept:' .. ARGV[1]
begin(KEYS[1], ARGV[3], ARGV[4])
if newer(ARGV[2], redis.call('HGET', KEYS[1], field)) then redis.call('HSET', KEYS[1], field, ARGV[2]) end
return {1}
