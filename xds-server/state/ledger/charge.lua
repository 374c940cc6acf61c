-- The decision over the charges of one request, in one step: the same as charge.ts.
-- KEYS: the budgets of the charges, the usage table when there is one, the name of the request when it has one, the names of charges.
-- ARGV: now, number of budgets, has usage, has a name, number of charges; of each charge: index of its budget, label, mode, hits, reserved, usage row,
-- index of its name or 0, number of limits; of each limit: what read_spec (meter.lua) reads.
-- Returns admitted, and of each charge: replayed, and of each of its limits: over, used, resetAt.
local RESERVE, RECORD, SETTLE, SETTLE_RECORDED, REFUND = 0, 1, 2, 3, 4
local CHARGE_SIZE = 8
local now = tonumber(ARGV[1])
local budget_count = tonumber(ARGV[2])
local usage_key = ARGV[3] == "1" and KEYS[budget_count + 1]
local call_key = ARGV[4] == "1" and KEYS[budget_count + (usage_key and 2 or 1)]
local charge_count = tonumber(ARGV[5])

-- What the charges without a name of their own were told when the request came first.
local known
if call_key then
  local kept = redis.call("GET", call_key)
  if kept then
    local at, told = string.match(kept, "^(-?%d+)|(.*)$")
    if at and now - tonumber(at) < REMEMBERED_MS then known = told end
  end
end

-- One SET each: the name is taken, or was taken when.
local function is_repeated(name)
  local at = redis.call("SET", name, ARGV[1], "NX", "GET", "PX", REMEMBERED_MS)
  if not at then return false end
  if now - (tonumber(at) or now) < REMEMBERED_MS then return true end
  redis.call("SET", name, ARGV[1], "PX", REMEMBERED_MS)
  return false
end

local charges = {}
-- Those that are decided now.
local live = {}
-- By index of KEYS: {key, label, meters in the order in which they were read, and each meter by its field}.
local budgets = {}
local position = 6
for c = 1, charge_count do
  local index = tonumber(ARGV[position])
  local limits = tonumber(ARGV[position + 7])
  local charge = {
    label = ARGV[position + 1],
    mode = tonumber(ARGV[position + 2]),
    hits = tonumber(ARGV[position + 3]),
    reserved = tonumber(ARGV[position + 4]),
    usage = ARGV[position + 5],
  }
  charges[c] = charge
  local name = tonumber(ARGV[position + 6])
  charge.named = name > 0
  if charge.named then charge.repeated = is_repeated(KEYS[name]) end
  position = position + CHARGE_SIZE
  for s = 1, limits do
    charge[s] = read_spec(position)
    position = position + SPEC_SIZE
  end
  if charge.named or not known then
    live[#live + 1] = charge
    local budget = budgets[index]
    if not budget then
      budget = { key = KEYS[index], label = charge.label, fields = {} }
      budgets[index] = budget
    end
    charge.budget = budget
  end
end

-- Each budget is read once, and opened anew for a second try. Charges of one budget share its meters: each sees what those before it did.
local function open_meters()
  for _, budget in pairs(budgets) do budget.meters = {} end
  for c = 1, #live do
    local charge = live[c]
    local fields, meters = charge.budget.fields, charge.budget.meters
    for s = 1, #charge do
      local spec = charge[s]
      local meter = meters[spec.field]
      if not meter then
        local text = fields[spec.field]
        if text == nil then
          text = redis.call("HGET", charge.budget.key, spec.field)
          fields[spec.field] = text
        end
        meter = open(text, spec)
        meters[spec.field] = meter
      end
      spec.meter = meter
    end
  end
end

local function apply(charge)
  local mode, hits = charge.mode, charge.hits
  for s = 1, #charge do
    local spec = charge[s]
    local meter = spec.meter
    if mode == RESERVE then
      add(meter, spec, (spec.shadow or hits < spec.amount) and hits or spec.amount)
    elseif mode == RECORD then
      add(meter, spec, hits)
    elseif still_counts(meter, spec) then
      if mode == REFUND then
        subtract(meter, hits)
      else
        local capped = charge.reserved
        if mode == SETTLE and not spec.shadow and capped > spec.amount then capped = spec.amount end
        if hits >= capped then
          add(meter, spec, hits - capped)
        else
          subtract(meter, capped - hits)
        end
      end
    end
  end
end

open_meters()
local admitted = true
for c = 1, #live do
  local charge = live[c]
  local all_fit = true
  charge.asks = charge.mode == RESERVE or charge.mode == RECORD
  if charge.asks then
    for s = 1, #charge do
      local spec = charge[s]
      if not fits(spec.meter, spec, charge.hits) then
        spec.over = true
        if not spec.shadow then all_fit = false end
      end
    end
    if not all_fit then admitted = false end
  end
  if (all_fit or charge.mode ~= RESERVE) and not charge.repeated then apply(charge) end
end
if not admitted then
  open_meters()
  for c = 1, #live do
    local charge = live[c]
    if charge.mode ~= RESERVE and not charge.repeated then apply(charge) end
  end
end

-- The answer, before amounts of overrides are taken in: they change no decision.
local answer = { admitted and 1 or 0 }
local told = { admitted and "1" or "0" }
local recall = known and string.gmatch(known, "[^;]+")
if recall then answer[1] = tonumber(recall()) end
for c = 1, charge_count do
  local charge = charges[c]
  if charge.budget then
    answer[#answer + 1] = charge.repeated and 1 or 0
    for s = 1, #charge do
      local spec = charge[s]
      local meter, over = spec.meter, spec.over
      if not charge.asks and charge.mode ~= REFUND then over = meter.used > spec.amount end
      local reset = reset_at(meter, spec, (over and charge.asks) and charge.hits or -1)
      local at = #answer
      answer[at + 1], answer[at + 2], answer[at + 3] = over and 1 or 0, meter.used, reset
      if call_key and not charge.named then
        told[#told + 1] = string.format("%d,%d,%d", over and 1 or 0, meter.used, reset)
      end
    end
  else
    answer[#answer + 1] = 1
    -- As many limits as there are now: the configuration may have changed since.
    for _ = 1, #charge do
      local over, used, reset = string.match(recall() or "", "^(%d),(-?%d+),(%d+)$")
      local at = #answer
      answer[at + 1], answer[at + 2], answer[at + 3] = tonumber(over or 0), tonumber(used or 0), tonumber(reset or 0)
    end
  end
end
if call_key and not known then
  redis.call("SET", call_key, string.format("%d|", now) .. table.concat(told, ";"), "PX", REMEMBERED_MS)
end

-- Written only where something was charged: a refused request and a question cost no write, but for the amount of an override that is news.
for c = 1, #live do
  local charge = live[c]
  local made = charge.mode ~= RESERVE or (admitted and charge.hits > 0)
  for s = 1, charge.repeated and 0 or #charge do
    local spec = charge[s]
    local meter = spec.meter
    if spec.override and (charge.asks or not meter.amount) then meter.amount = spec.amount end
    if made then meter.changed = spec end
  end
end
for _, budget in pairs(budgets) do
  local values = {}
  local is_new = true
  local longest = 0
  for field, meter in pairs(budget.meters) do
    if meter.text then is_new = false end
    local text
    if meter.changed then
      text = format(meter)
      longest = math.max(longest, lifetime(meter, meter.changed, now))
    elseif meter.text and meter.amount then
      text = string.match(meter.text, "^[^;]*") .. string.format(";%d", meter.amount)
      if text == meter.text then text = nil end
    end
    if text then
      values[#values + 1] = field
      values[#values + 1] = text
    end
  end
  if #values > 0 then
    if is_new then
      values[#values + 1] = "label"
      values[#values + 1] = budget.label
    end
    redis.call("HSET", budget.key, unpack(values))
    keep(budget.key, longest)
  end
end

-- A sum that no longer fits is not worth an error: the budgets are charged already.
local function count(row, hits, requests)
  local all_hits = redis.pcall("HINCRBY", usage_key, "h:" .. row, hits)
  local fresh = all_hits == hits
  local all_requests = (fresh or requests > 0) and redis.pcall("HINCRBY", usage_key, "r:" .. row, requests)
  return fresh and all_requests == requests
end
for c = 1, usage_key and #live or 0 do
  local charge = live[c]
  local mode = charge.mode
  local hits, requests = 0, 0
  if mode == RESERVE then
    if admitted then hits, requests = charge.hits, 1 end
  elseif mode == RECORD then
    hits, requests = charge.hits, admitted and 1 or 0
  elseif mode == REFUND then
    hits = -charge.hits
  else
    hits = charge.hits - charge.reserved
  end
  if charge.usage ~= "" and not charge.repeated and (hits ~= 0 or requests ~= 0) and count(charge.usage, hits, requests) then
    -- The row is new, or as good as new.
    local rows = redis.call("HLEN", usage_key) / 2
    if rows > MAX_USAGE_ROWS then
      redis.call("HDEL", usage_key, "h:" .. charge.usage, "r:" .. charge.usage)
      count("other", hits, requests)
    end
    if redis.call("PTTL", usage_key) < 0 then redis.call("PEXPIRE", usage_key, USAGE_KEPT_MS) end
  end
end
return answer
