-- Before the other scripts of records. Versions are GENERATION.CHANGE.RANDOM: when the records begin anew, after a loss, the generation is the time, in ms; every
-- change counts on. So of two versions of one key the greater is the newer, also over a loss.

-- Begins anew where there is nothing. @param least of the generations that the caller knows
local function begin(meta, random, least)
  if redis.call('HSETNX', meta, 'epoch', random) == 0 then return end
  local now = redis.call('TIME')
  local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
  redis.call('HSET', meta, 'generation', string.format('%.0f', math.max(ms, tonumber(least) + 1)))
end

-- The version of a change that is made now.
local function advance(meta, random, least)
  begin(meta, random, least)
  local generation = redis.call('HGET', meta, 'generation') or '0'
  return generation .. '.' .. redis.call('HINCRBY', meta, 'changes', 1) .. '.' .. random
end

-- Whether one version is newer than another, which may be none.
local function newer(one, other)
  local generation, change = string.match(one or '', '^(%d+)%.(%d+)%.')
  local thanGeneration, thanChange = string.match(other or '', '^(%d+)%.(%d+)%.')
  generation, thanGeneration = tonumber(generation or -1), tonumber(thanGeneration or -1)
  if generation ~= thanGeneration then return generation > thanGeneration end
  return tonumber(change or -1) > tonumber(thanChange or -1)
end
