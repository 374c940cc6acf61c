/** Whether a rule lets a request be answered from the cache: what it asks for must have one answer. What of its body that depends on is a few bits, which are kept with bodies that are known. */
import { ChatRequest } from "../lib/chat-request";
import { JsonKind } from "../lib/json-scanner";
import { Api } from "../lib/llm-api";
import { Flag, RequestField } from "../lib/request-field";
import { CacheRule, Temperature } from "./rule";

/** It has one answer for as long as the request stays the same, and says once whether it wants pieces, so that all who read it understand the same. */
const LASTS: u32 = 1;
const TOOLS: u32 = 2;
/** More than one answer is asked for. */
const CHOICES: u32 = 4;
/** The temperature is not said, or is 0. */
const UNSET: u32 = 8;
const COLD: u32 = 16;

/** What `isCacheable` has to know of a body; 0 for one that was not read. */
export function traitsOf(chat: ChatRequest | null): u32 {
  if (chat === null) return 0;
  let traits: u32 = !chat.live && saysForm(chat) ? LASTS : 0;
  if (chat.hasTools) traits |= TOOLS;
  if (!isAtMostOne(chat)) traits |= CHOICES;
  // Null is absent.
  const kind = unchecked(chat.fields[RequestField.Temperature]).kind;
  if (kind == JsonKind.Absent || kind == JsonKind.Literal) traits |= UNSET;
  else if (chat.number(RequestField.Temperature) == 0) traits |= COLD;
  return traits;
}

export function isCacheable(rule: CacheRule, api: Api, traits: u32): bool {
  if (api == Api.Other || (traits & LASTS) == 0) return false;
  if ((traits & TOOLS) != 0 && !rule.tools) return false;
  if ((traits & CHOICES) != 0 && !rule.choices) return false;
  if (api == Api.Embeddings || rule.temperature == Temperature.Any || (traits & COLD) != 0) return true;
  return (traits & UNSET) != 0 && rule.temperature == Temperature.Unset;
}

function saysForm(chat: ChatRequest): bool {
  return unchecked(chat.fields[RequestField.Stream]).count <= 1 && chat.flag(RequestField.Stream) != Flag.Other;
}

/** One answer is asked for; null is absent. */
function isAtMostOne(chat: ChatRequest): bool {
  const kind = unchecked(chat.fields[RequestField.Choices]).kind;
  return kind == JsonKind.Absent || kind == JsonKind.Literal || chat.number(RequestField.Choices) <= 1;
}
