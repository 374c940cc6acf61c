/** Whether a rule lets a request be answered from the cache: what it asks for must have one answer. */
import { ChatRequest } from "../lib/chat-request";
import { JsonKind } from "../lib/json-scanner";
import { Api } from "../lib/llm-api";
import { Flag, RequestField } from "../lib/request-field";
import { CacheRule, Temperature } from "./rule";

export function isCacheable(rule: CacheRule, api: Api, chat: ChatRequest): bool {
  if (api == Api.Other || chat.live || !saysForm(chat)) return false;
  if (chat.hasTools && !rule.tools) return false;
  if (!rule.choices && !isAtMostOne(chat)) return false;
  return api == Api.Embeddings || rule.temperature == Temperature.Any || isCold(rule, chat);
}

/** It says once whether it wants pieces, so that all who read it understand the same. */
function saysForm(chat: ChatRequest): bool {
  return unchecked(chat.fields[RequestField.Stream]).count <= 1 && chat.flag(RequestField.Stream) != Flag.Other;
}

/** One answer is asked for; null is absent. */
function isAtMostOne(chat: ChatRequest): bool {
  const kind = unchecked(chat.fields[RequestField.Choices]).kind;
  return kind == JsonKind.Absent || kind == JsonKind.Literal || chat.number(RequestField.Choices) <= 1;
}

/** Null is absent. */
function isCold(rule: CacheRule, chat: ChatRequest): bool {
  const kind = unchecked(chat.fields[RequestField.Temperature]).kind;
  if (kind == JsonKind.Absent || kind == JsonKind.Literal) return rule.temperature == Temperature.Unset;
  return chat.number(RequestField.Temperature) == 0;
}
