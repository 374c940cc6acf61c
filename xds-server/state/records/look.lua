-- What there is, without the values.
-- KEYS  1 index (hash: key -> version), 2 meta (hash: epoch, last)
-- ARGV  1 the last change that the caller knows
-- Returns {epoch, last} when that is still the last one, else {epoch, last, key, version, ...}.
local epoch = redis.call('HGET', KEYS[2], 'epoch') or ''
local last = redis.call('HGET', KEYS[2], 'last') or ''
local reply = {epoch, last}
if last == ARGV[1] and last ~= '' then return reply end
local index = redis.call('HGETALL', KEYS[1])
for at = 1, #index do reply[at + 2] = index[at] end
return reply
