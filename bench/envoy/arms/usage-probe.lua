-- Stands in front of the filter under test on the probe's own listener, never in a measurement: shows the token usage that
-- the filter left in metadata as the response header x-usage. Reads the whole answer first, because usage comes last.

function envoy_on_response(handle)
  handle:body()
  local info = handle:streamInfo()
  local plain = info:dynamicMetadata():get("llm")
  if plain then
    handle:headers():add("x-usage", string.format("%d,%d", plain.prompt_tokens or -1, plain.completion_tokens or -1))
    return
  end
  local typed = info:dynamicTypedMetadata("envoy.ai.token_usage")
  if typed then
    handle:headers():add("x-usage", string.format("%d,%d", typed.input_tokens.value, typed.output_tokens.value))
  end
end
