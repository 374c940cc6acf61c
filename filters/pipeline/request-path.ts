/** Finds out by its path whether a request is an LLM call, and of which API. */
import { Api } from "../lib/llm-api";
import { apiOfSuffix, LlmPath } from "../lib/llm-path";
import { Bytes } from "../sdk";
import { Exchange, ModelPlace } from "./exchange";
import { TrafficConfig } from "./traffic-config";

const path = new LlmPath();

/** Fills in what the path says. False for paths that are none. O(path x suffixes). */
export function readPath(exchange: Exchange, traffic: TrafficConfig, text: Bytes): bool {
  path.read(text.ptr, text.len);
  exchange.pathEnd = path.end;
  if (path.isGemini) {
    if (!(path.isStream ? traffic.geminiStream : traffic.gemini)) return false;
    exchange.api = Api.GeminiGenerate;
    exchange.streaming = path.isStream;
    exchange.modelPlace = ModelPlace.Path;
    exchange.modelStart = path.modelStart;
    exchange.modelEnd = path.modelEnd;
    exchange.setModel(path.value, path.length, path.truncated || path.malformed);
    return true;
  }
  const end = endOfSuffix(traffic, text);
  if (end == 0) return false;
  // Of the path, not of the suffix: `/completions` may be listed before `/chat/completions`.
  exchange.api = apiOfSuffix(text.ptr, end);
  return true;
}

/** Where the listed suffix of the path ends; 0 when it has none. Many servers take a path with slashes behind it for the same one, so they hide nothing. */
function endOfSuffix(traffic: TrafficConfig, text: Bytes): i32 {
  let end = path.end;
  if (hasSuffix(traffic, text, end)) return end;
  while (end > 0 && text.at(end - 1) == 0x2f) end--;
  if (end == path.end) return 0;
  // A listed suffix may have one itself.
  return hasSuffix(traffic, text, end) ? end : hasSuffix(traffic, text, end + 1) ? end + 1 : 0;
}

function hasSuffix(traffic: TrafficConfig, text: Bytes, end: i32): bool {
  const suffixes = traffic.suffixes;
  const size = text.len;
  let at = 0;
  text.len = end;
  while (at < suffixes.length && !text.endsWith(unchecked(suffixes[at]))) at++;
  text.len = size;
  return at < suffixes.length;
}
