-- The decision over the charges of one request, in one step: the same as charge.ts.
-- KEYS: the budgets of the charges, the usage table when there is one, the remembered answer when the request has an id.
-- ARGV: now, number of budgets, has usage, has id, remembered ms, usage kept ms, most usage rows, number of charges; of each charge: index of its
-- budget, label, mode, hits, reserved, usage row, number of limits; of each limit: what read_spec (meter.lua) reads.
-- Returns "replayed;admitted;over,used,resetAt;over,used,resetAt;...", one triple per limit.
local now = number()
local budget_count = number()
local has_usage = text() == "1"
local has_id = text() == "1"
local remembered_ms = number()
local usage_kept_ms = number()
local most_rows = number()
local charge_count = number()

local usage_key = has_usage and KEYS[budget_count + 1] or nil
local id_key = has_id and KEYS[budget_count + (has_usage and 2 or 1)] or nil
if id_key then
  local known = redis.call("GET", id_key)
  if known then
    local at, answer = string.match(known, "^(-?%d+)|(.*)$")
    if at and now - tonumber(at) < remembered_ms then return "1;" .. answer end
  end
end

local RESERVE, RECORD, SETTLE, SETTLE_RECORDED, REFUND = 0, 1, 2, 3, 4
local charges = {}
for c = 1, charge_count do
  local charge = { key = KEYS[number()], label = text(), mode = number(), hits = number(), reserved = number(), usage = text(), specs = {} }
  for s = 1, number() do charge.specs[s] = read_spec() end
  charges[c] = charge
end

-- What is stored of each budget: read once, parsed anew for a second try.
local stored = {}
for _, charge in ipairs(charges) do
  local fields = stored[charge.key] or {}
  stored[charge.key] = fields
  local missing = {}
  for _, spec in ipairs(charge.specs) do
    if fields[spec.field] == nil then missing[#missing + 1] = spec.field end
  end
  if #missing > 0 then
    local values = redis.call("HMGET", charge.key, unpack(missing))
    for i, field in ipairs(missing) do fields[field] = values[i] end
  end
end

local working = {}
local function meter_of(charge, spec)
  local meters = working[charge.key]
  if not meters then
    meters = {}
    working[charge.key] = meters
  end
  local meter = meters[spec.field]
  if not meter then
    meter = parse(stored[charge.key][spec.field], spec)
    meters[spec.field] = meter
  end
  advance(meter, spec)
  return meter
end

local function apply(charge)
  for _, spec in ipairs(charge.specs) do
    local meter = meter_of(charge, spec)
    if charge.mode == RESERVE then
      add(meter, spec, spec.shadow and charge.hits or math.min(charge.hits, spec.amount))
    elseif charge.mode == RECORD then
      add(meter, spec, charge.hits)
    elseif charge.mode == REFUND then
      if still_counts(meter, spec) then subtract(meter, spec, charge.hits) end
    elseif still_counts(meter, spec) then
      local capped = (charge.mode == SETTLE_RECORDED or spec.shadow) and charge.reserved or math.min(charge.reserved, spec.amount)
      if charge.hits >= capped then
        add(meter, spec, charge.hits - capped)
      else
        subtract(meter, spec, capped - charge.hits)
      end
    end
  end
end

local admitted = true
for _, charge in ipairs(charges) do
  local all_fit = true
  charge.over = {}
  if charge.mode == RESERVE or charge.mode == RECORD then
    for s, spec in ipairs(charge.specs) do
      if not fits(meter_of(charge, spec), spec, charge.hits) then
        charge.over[s] = true
        if not spec.shadow then all_fit = false end
      end
    end
    if not all_fit then admitted = false end
  end
  if all_fit or charge.mode ~= RESERVE then apply(charge) end
end
if not admitted then
  working = {}
  for _, charge in ipairs(charges) do
    if charge.mode ~= RESERVE then apply(charge) end
  end
end

local parts = {}
for _, charge in ipairs(charges) do
  local settled = charge.mode == SETTLE or charge.mode == SETTLE_RECORDED
  for s, spec in ipairs(charge.specs) do
    local meter = meter_of(charge, spec)
    local used = used_of(meter, spec)
    local over = charge.over[s] == true
    if settled then over = used > spec.amount end
    local reset = reset_at(meter, spec, (over and not settled) and charge.hits or -1)
    parts[#parts + 1] = (over and "1," or "0,") .. whole(used) .. "," .. whole(reset)
  end
end

for _, charge in ipairs(charges) do
  for _, spec in ipairs(charge.specs) do
    remember(meter_of(charge, spec), spec, charge.mode == RESERVE or charge.mode == RECORD)
  end
end

-- Written only where something was charged: a refused request and a question cost no write, but for the amount of an override that is news. Those
-- come first: what is charged to the same meter is written over them.
local function is_made(charge)
  return charge.mode ~= RESERVE or (admitted and charge.hits > 0)
end
for _, charge in ipairs(charges) do
  for _, spec in ipairs(is_made(charge) and {} or charge.specs) do
    local before = stored[charge.key][spec.field]
    local after = before and with_amount(before, meter_of(charge, spec).amount)
    if after ~= before then redis.call("HSET", charge.key, spec.field, after) end
  end
end
for _, charge in ipairs(charges) do
  if is_made(charge) then
    local values = {}
    local first = true
    for _, text_of_meter in pairs(stored[charge.key]) do
      if text_of_meter then first = false end
    end
    if first then values = { "label", charge.label } end
    for _, spec in ipairs(charge.specs) do
      values[#values + 1] = spec.field
      values[#values + 1] = format(meter_of(charge, spec), spec)
    end
    redis.call("HSET", charge.key, unpack(values))
    keep(charge.key, now, charge.specs)
  end
end

if usage_key then
  for _, charge in ipairs(charges) do
    local hits, requests = 0, 0
    if charge.mode == RESERVE then
      if admitted then hits, requests = charge.hits, 1 end
    elseif charge.mode == RECORD then
      hits, requests = charge.hits, admitted and 1 or 0
    elseif charge.mode == REFUND then
      hits = -charge.hits
    else
      hits = charge.hits - charge.reserved
    end
    if charge.usage ~= "" and (hits ~= 0 or requests ~= 0) then
      local row = charge.usage
      if redis.call("HEXISTS", usage_key, "h:" .. row) == 0 and redis.call("HLEN", usage_key) >= 2 * most_rows then row = "other" end
      redis.call("HINCRBY", usage_key, "h:" .. row, whole(hits))
      redis.call("HINCRBY", usage_key, "r:" .. row, whole(requests))
      if redis.call("PTTL", usage_key) < 0 then redis.call("PEXPIRE", usage_key, whole(usage_kept_ms)) end
    end
  end
end

local answer = (admitted and "1" or "0") .. ";" .. table.concat(parts, ";")
if id_key then redis.call("SET", id_key, whole(now) .. "|" .. answer, "PX", whole(remembered_ms + 60000)) end
return "0;" .. answer
