-- Reads the meters of one budget, and changes them when asked to.
-- KEYS: the budget. ARGV: now, action ("read", "set", "add", "reset"), value, label, number of limits; of each limit: what read_spec reads.
-- Returns "over,used,resetAt;...|over,used,resetAt;...": before and after.
local now = number()
local action = text()
local value = number()
local label = text()
local specs = {}
for s = 1, number() do specs[s] = read_spec() end

local function state(meter, spec)
  local used = used_of(meter, spec)
  return (used >= spec.amount and "1," or "0,") .. whole(used) .. "," .. whole(reset_at(meter, spec, -1))
end

local before, after = {}, {}
local values = { "label", label }
for s, spec in ipairs(specs) do
  local meter = parse(redis.call("HGET", KEYS[1], spec.field), spec)
  advance(meter, spec)
  before[s] = state(meter, spec)
  if action == "set" then
    set_used(meter, spec, value)
  elseif action == "add" then
    set_used(meter, spec, math.max(-MAX_USED, used_of(meter, spec) - value))
  elseif action == "reset" then
    set_used(meter, spec, 0)
  end
  after[s] = state(meter, spec)
  values[#values + 1] = spec.field
  values[#values + 1] = format(meter, spec)
end
if action ~= "read" then
  redis.call("HSET", KEYS[1], unpack(values))
  keep(KEYS[1], now, specs)
end
return table.concat(before, ";") .. "|" .. table.concat(after, ";")
