-- What was purged: marks by which entries are judged, and the newest purges for those who ask what is new. One step of Redis.
-- KEYS  1 hash: epoch, sequence, dropped, and the marks (all, k<key>, m<model>, t<tenant>: ms)   2 list of "kind:hash:ms", oldest first
-- ARGV  1 now   2 epoch to begin with   3, 4 epoch and sequence that the caller knows   5 mark to set, "" to look only   6, 7 kind and hash of it
-- Returns epoch and sequence; and, when they are others than the caller knows, dropped and the list.
local marks, log, now = KEYS[1], KEYS[2], tonumber(ARGV[1])

-- Nothing there: Redis is new, or has forgotten. Then nobody knows what was purged, and whatever is stored counts as that.
if redis.call('HEXISTS', marks, 'epoch') == 0 then
  redis.call('DEL', marks, log)
  redis.call('HSET', marks, 'epoch', ARGV[2], 'sequence', 0, 'dropped', -1, 'all', ARGV[1])
end

-- As #tidy in purge-marks.ts.
local function tidy()
  local all = redis.call('HGETALL', marks)
  local kept, newest = {}, -1
  for index = 1, #all, 2 do
    local name, at = all[index], tonumber(all[index + 1])
    local first = string.sub(name, 1, 1)
    if first == 'k' or first == 'm' or first == 't' or name == 'all' then
      if at + (first == 'k' and KEY_MARK_LIFE_MS or MARK_LIFE_MS) < now then
        redis.call('HDEL', marks, name)
      else
        kept[#kept + 1] = name
        newest = math.max(newest, at)
      end
    end
  end
  if #kept <= MAX_MARKS / 2 then return end
  for _, name in ipairs(kept) do redis.call('HDEL', marks, name) end
  redis.call('HSET', marks, 'all', string.format('%.0f', newest))
end

local mark = ARGV[5]
if mark ~= '' then
  redis.call('HINCRBY', marks, 'sequence', 1)
  local before = redis.call('HGET', marks, mark)
  if not before or tonumber(before) < now then redis.call('HSET', marks, mark, ARGV[1]) end
  redis.call('RPUSH', log, ARGV[6] .. ':' .. ARGV[7] .. ':' .. ARGV[1])
  while redis.call('LLEN', log) > MAX_PURGE_LOG do
    local at = string.match(redis.call('LPOP', log), '%d+$')
    if tonumber(at) > tonumber(redis.call('HGET', marks, 'dropped')) then redis.call('HSET', marks, 'dropped', at) end
  end
  -- Besides marks there are epoch, sequence and dropped.
  if redis.call('HLEN', marks) - 3 > MAX_MARKS then tidy() end
end

local state = redis.call('HMGET', marks, 'epoch', 'sequence', 'dropped')
if state[1] == ARGV[3] and state[2] == ARGV[4] then return { state[1], state[2] } end
return { state[1], state[2], state[3], redis.call('LRANGE', log, 0, -1) }
