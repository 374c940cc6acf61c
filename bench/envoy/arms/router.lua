-- The job of llm-router for Envoy's Lua filter: reads "model" at the top level of the buffered body, writes the route header
-- (which makes Envoy pick the route again) and leaves the token usage of the answer in dynamic metadata "llm".
-- LuaJIT has no JSON reader here, so the body is searched with string.find, whose loops are C: it hops from quote to quote.

local routes = { ["gpt-4o"] = "gpt", ["claude-sonnet-4-5"] = "claude" }
local find, byte, sub, match = string.find, string.byte, string.sub, string.match

-- Position of the quote that ends the string whose first character is at `from`; nil when there is none.
local function string_end(text, from)
  local at = from
  while true do
    local quote = find(text, '"', at, true)
    if not quote then return nil end
    local slash = quote - 1
    while slash >= from and byte(text, slash) == 92 do slash = slash - 1 end
    if (quote - slash) % 2 == 1 then return quote end
    at = quote + 1
  end
end

-- The string value of a key of the outermost object.
local function top_level(text, key)
  local depth, at = 0, 1
  while true do
    local where, _, sign = find(text, '(["{}%[%]])', at)
    if not where then return nil end
    if sign == '"' then
      local last = string_end(text, where + 1)
      if not last then return nil end
      if depth == 1 and last - where - 1 == #key and sub(text, where + 1, last - 1) == key then
        local _, opened = find(text, '^%s*:%s*"', last + 1)
        if opened then
          local closed = string_end(text, opened + 1)
          return closed and sub(text, opened + 1, closed - 1)
        end
      end
      at = last + 1
    else
      depth = depth + ((sign == "{" or sign == "[") and 1 or -1)
      at = where + 1
    end
  end
end

function envoy_on_request(handle)
  local body = handle:body()
  if not body then return end
  local route = routes[top_level(body:getBytes(0, body:length()), "model") or ""]
  if not route then
    handle:respond({ [":status"] = "404", ["content-type"] = "application/json" },
      '{"error":{"message":"unknown model","type":"invalid_request_error","param":"model","code":"model_not_found"}}')
    return
  end
  handle:headers():replace("x-llm-route", route)
end

-- A quote inside a JSON string is always escaped, so `"usage":` can only be a key.
local function read_usage(handle, text)
  local _, opened = find(text, '"usage"%s*:%s*{')
  if not opened then return end
  local prompt = match(text, '"prompt_tokens"%s*:%s*(%d+)', opened)
  local completion = match(text, '"completion_tokens"%s*:%s*(%d+)', opened)
  if not prompt then return end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("llm", "prompt_tokens", tonumber(prompt))
  metadata:set("llm", "completion_tokens", tonumber(completion))
end

function envoy_on_response(handle)
  if find(handle:headers():get("content-type") or "", "text/event-stream", 1, true) ~= 1 then
    local body = handle:body()
    if body then read_usage(handle, body:getBytes(0, body:length())) end
    return
  end
  local pending = ""
  for chunk in handle:bodyChunks() do
    local text = pending .. chunk:getBytes(0, chunk:length())
    pending = ""
    if sub(text, -2) ~= "\n\n" then
      -- The last event is cut: keep it for the next chunk (plain find from its start is enough, events are short).
      local last, at = 0, find(text, "\n\n", 1, true)
      while at do
        last = at + 1
        at = find(text, "\n\n", last, true)
      end
      pending = sub(text, last + 1)
    end
    if find(text, '"usage"', 1, true) then read_usage(handle, text) end
  end
end
