-- Reads the meters of one budget, and changes them when asked to.
-- KEYS: the budget. ARGV: now, action ("read", "set", "add", "reset"), value, label, number of limits; of each limit: what read_spec reads.
-- Returns over, used, resetAt of each limit before, then the same after.
local now = tonumber(ARGV[1])
local action = ARGV[2]
local value = tonumber(ARGV[3])
local count = tonumber(ARGV[5])

local function set_used(meter, used)
  meter.used = used
  if not meter.counts then return end
  for i = 0, BUCKETS - 1 do meter.counts[i] = 0 end
  meter.counts[meter.slot % BUCKETS] = used
end

local answer = {}
local function tell(s, meter, spec)
  answer[3 * s - 2] = meter.used >= spec.amount and 1 or 0
  answer[3 * s - 1] = meter.used
  answer[3 * s] = reset_at(meter, spec, -1)
end

local values = { "label", ARGV[4] }
local longest = 0
for s = 1, count do
  local spec = read_spec(6 + SPEC_SIZE * (s - 1))
  local meter = open(redis.call("HGET", KEYS[1], spec.field), spec)
  tell(s, meter, spec)
  if action == "set" then
    set_used(meter, value)
  elseif action == "add" then
    set_used(meter, math.max(-MAX_USED, meter.used - value))
  elseif action == "reset" then
    set_used(meter, 0)
  end
  tell(count + s, meter, spec)
  values[#values + 1] = spec.field
  values[#values + 1] = format(meter)
  longest = math.max(longest, lifetime(meter, spec, now))
end
if action ~= "read" then
  redis.call("HSET", KEYS[1], unpack(values))
  keep(KEYS[1], longest)
end
return answer
