-- Meters in Redis: the same as meter.ts, which explains them. A meter is a field of the budget's hash: "slot:count" or "slot:c0,c1,...,c16", and
-- ";amount" behind it when a call has brought its own limit.
local MAX_USED = 4e15
local BUCKETS = 17
local SIXTEENTHS = 16

local function whole(number)
  return string.format("%.0f", number)
end

local function parse(text, spec)
  local meter = { slot = spec.slot, counts = {} }
  local size = spec.rolling and BUCKETS or 1
  local i = 0
  if text then
    local slot, list, amount = string.match(text, "^(-?%d+):([^;]*);?(%d*)")
    if slot then
      meter.slot = tonumber(slot)
      meter.amount = tonumber(amount)
      for count in string.gmatch(list, "-?%d+") do
        if i < size then meter.counts[i] = tonumber(count) end
        i = i + 1
      end
    end
  end
  for j = i, size - 1 do meter.counts[j] = 0 end
  return meter
end

local function with_amount(text, amount)
  if not amount then return text end
  return string.match(text, "^[^;]*") .. ";" .. whole(amount)
end

local function format(meter, spec)
  local list = {}
  local size = spec.rolling and BUCKETS or 1
  for i = 0, size - 1 do list[i + 1] = whole(meter.counts[i]) end
  return with_amount(whole(meter.slot) .. ":" .. table.concat(list, ","), meter.amount)
end

local function remember(meter, spec, asks)
  if spec.override and (asks or not meter.amount) then meter.amount = spec.amount end
end

local function fill(meter, spec)
  for i = 0, (spec.rolling and BUCKETS or 1) - 1 do meter.counts[i] = 0 end
end

local function advance(meter, spec)
  if meter.slot == spec.slot then return end
  local ahead = meter.slot - spec.slot
  if ahead > 0 and ahead <= (spec.rolling and SIXTEENTHS or spec.span) then return end
  if not spec.rolling or ahead > 0 or -ahead >= BUCKETS then
    fill(meter, spec)
  else
    for number = meter.slot + 1, spec.slot do meter.counts[number % BUCKETS] = 0 end
  end
  meter.slot = spec.slot
end

local function used_of(meter, spec)
  local sum = 0
  for i = 0, (spec.rolling and BUCKETS or 1) - 1 do sum = sum + meter.counts[i] end
  return sum
end

local function wanted(hits, amount)
  return math.max(1, math.min(hits, amount))
end

local function fits(meter, spec, hits)
  return used_of(meter, spec) + wanted(hits, spec.amount) <= spec.amount
end

local function still_counts(meter, spec)
  return spec.admitted < 0 or spec.admitted >= meter.slot - (spec.rolling and SIXTEENTHS or 0)
end

local function add(meter, spec, hits)
  local index = 0
  if spec.rolling then
    index = (spec.admitted < 0 and meter.slot or math.min(spec.admitted, meter.slot)) % BUCKETS
  end
  meter.counts[index] = meter.counts[index] + math.min(hits, MAX_USED - used_of(meter, spec))
end

local function subtract(meter, spec, hits)
  local left = math.min(hits, math.max(0, used_of(meter, spec)))
  for age = (spec.rolling and SIXTEENTHS or 0), 0, -1 do
    if left <= 0 then return end
    local index = spec.rolling and (meter.slot + BUCKETS - age) % BUCKETS or 0
    local part = math.min(left, math.max(0, meter.counts[index]))
    meter.counts[index] = meter.counts[index] - part
    left = left - part
  end
end

local function set_used(meter, spec, used)
  fill(meter, spec)
  meter.counts[spec.rolling and meter.slot % BUCKETS or 0] = used
end

local function reset_at(meter, spec, refused_hits)
  if not spec.rolling then return meter.slot + spec.span end
  local missing = 1
  if refused_hits >= 0 then missing = used_of(meter, spec) + wanted(refused_hits, spec.amount) - spec.amount end
  local last = -1
  for number = meter.slot - SIXTEENTHS, meter.slot do
    if missing <= 0 then break end
    local count = meter.counts[(number + BUCKETS) % BUCKETS]
    if count > 0 then
      missing = missing - count
      last = number
    end
  end
  if last < 0 then return 0 end
  return math.ceil((last + BUCKETS) * spec.span / SIXTEENTHS)
end

-- Arguments are read one after the other.
local position = 0
local function text()
  position = position + 1
  return ARGV[position]
end
local function number()
  return tonumber(text())
end

local function read_spec()
  return {
    field = text(),
    amount = number(),
    shadow = text() == "1",
    rolling = text() == "1",
    slot = number(),
    span = number(),
    admitted = number(),
    override = text() == "1",
  }
end

-- A key lives until its last window is over, one window longer (a clock that is behind must find it), and a minute.
local function keep(key, now, specs)
  local longest = 0
  for _, spec in ipairs(specs) do
    local finish = spec.rolling and 2 * spec.span or spec.slot + 2 * spec.span - now
    if finish > longest then longest = finish end
  end
  longest = longest + 60000
  if redis.call("PTTL", key) < longest then redis.call("PEXPIRE", key, whole(longest)) end
end
