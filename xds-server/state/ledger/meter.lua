-- Meters in Redis: the same as meter.ts, which explains them. A meter is a field of the budget's hash: "slot:count" or "slot:c0,c1,...,c16", and
-- ";amount" behind it when a call has brought its own limit. Here it is a table {slot, used, amount} with the text it was read from; a rolling one has
-- its sixteenths in `counts`, and `used` is their sum.
local MAX_USED = 4e15
local BUCKETS = 17
local SIXTEENTHS = 16
-- A key lives until its last window is over, one window longer (a clock that is behind must find it), and this long.
local MARGIN_MS = 60000

-- Arguments of one limit, from ARGV[at] on.
local SPEC_SIZE = 6
local function read_spec(at)
  local flags = tonumber(ARGV[at + 2])
  return {
    field = ARGV[at],
    amount = tonumber(ARGV[at + 1]),
    shadow = flags % 2 == 1,
    rolling = flags % 4 >= 2,
    override = flags >= 4,
    slot = tonumber(ARGV[at + 3]),
    span = tonumber(ARGV[at + 4]),
    admitted = tonumber(ARGV[at + 5]),
  }
end

local function parse_counts(list)
  local counts = {}
  local used = 0
  local i = 0
  for count in string.gmatch(list, "-?%d+") do
    if i < BUCKETS then
      counts[i] = tonumber(count)
      used = used + counts[i]
    end
    i = i + 1
  end
  for j = i, BUCKETS - 1 do counts[j] = 0 end
  return counts, used
end

local function advance(meter, spec)
  if meter.slot == spec.slot then return end
  local ahead = meter.slot - spec.slot
  if ahead > 0 and ahead <= (spec.rolling and SIXTEENTHS or spec.span) then return end
  local counts = meter.counts
  if not counts then
    meter.used = 0
  elseif ahead > 0 or -ahead >= BUCKETS then
    for i = 0, BUCKETS - 1 do counts[i] = 0 end
    meter.used = 0
  else
    for number = meter.slot + 1, spec.slot do
      local i = number % BUCKETS
      meter.used = meter.used - counts[i]
      counts[i] = 0
    end
  end
  meter.slot = spec.slot
end

-- The meter at the time of the spec. `text` is false when there is none.
local function open(text, spec)
  local meter = { text = text, slot = spec.slot, used = 0 }
  local slot, list, amount
  if text then
    slot, list, amount = string.match(text, "^(-?%d+):([^;]*);?(%d*)")
    if slot then
      meter.slot = tonumber(slot)
      meter.amount = tonumber(amount)
    end
  end
  if spec.rolling then
    meter.counts, meter.used = parse_counts(list or "")
  elseif list then
    meter.used = tonumber(list) or 0
  end
  -- Where the text stands: a key whose meters stay there has its time to live already.
  meter.began = slot and meter.slot
  advance(meter, spec)
  return meter
end

local function format(meter)
  local amount = meter.amount
  local counts = meter.counts
  if not counts then
    if amount then return string.format("%d:%d;%d", meter.slot, meter.used, amount) end
    return string.format("%d:%d", meter.slot, meter.used)
  end
  local list = {}
  for i = 0, BUCKETS - 1 do list[i + 1] = string.format("%d", counts[i]) end
  local text = string.format("%d:", meter.slot) .. table.concat(list, ",")
  return amount and text .. string.format(";%d", amount) or text
end

local function wanted(hits, amount)
  if hits > amount then hits = amount end
  return hits < 1 and 1 or hits
end

local function fits(meter, spec, hits)
  return meter.used + wanted(hits, spec.amount) <= spec.amount
end

local function still_counts(meter, spec)
  return spec.admitted < 0 or spec.admitted >= meter.slot - (spec.rolling and SIXTEENTHS or 0)
end

local function add(meter, spec, hits)
  local more = math.min(hits, MAX_USED - meter.used)
  meter.used = meter.used + more
  if meter.counts then
    local i = (spec.admitted < 0 and meter.slot or math.min(spec.admitted, meter.slot)) % BUCKETS
    meter.counts[i] = meter.counts[i] + more
  end
end

local function subtract(meter, hits)
  local left = math.min(hits, math.max(0, meter.used))
  meter.used = meter.used - left
  local counts = meter.counts
  if not counts then return end
  for age = SIXTEENTHS, 0, -1 do
    if left <= 0 then return end
    local i = (meter.slot + BUCKETS - age) % BUCKETS
    local part = math.min(left, math.max(0, counts[i]))
    counts[i] = counts[i] - part
    left = left - part
  end
end

local function reset_at(meter, spec, refused_hits)
  local counts = meter.counts
  if not counts then return meter.slot + spec.span end
  local missing = 1
  if refused_hits >= 0 then missing = meter.used + wanted(refused_hits, spec.amount) - spec.amount end
  local last = -1
  for number = meter.slot - SIXTEENTHS, meter.slot do
    if missing <= 0 then break end
    local count = counts[(number + BUCKETS) % BUCKETS]
    if count > 0 then
      missing = missing - count
      last = number
    end
  end
  if last < 0 then return 0 end
  return math.ceil((last + BUCKETS) * spec.span / SIXTEENTHS)
end

-- How long a key with this meter must live from now on; 0 when it stands where it stood, because then it was said before.
local function lifetime(meter, spec, now)
  if meter.began == meter.slot then return 0 end
  return MARGIN_MS + (spec.rolling and 2 * spec.span or spec.slot + 2 * spec.span - now)
end

local function keep(key, longest)
  if longest > 0 and redis.call("PTTL", key) < longest then redis.call("PEXPIRE", key, longest) end
end
