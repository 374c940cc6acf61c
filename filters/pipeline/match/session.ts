import { JsonKind } from "../../lib/json-scanner";
import { RequestField } from "../../lib/request-field";
import { Exchange } from "../exchange";
import { Bytes } from "../../sdk";

/** In the order in which they are asked: what names a conversation before what names a user. */
const FIELDS: StaticArray<i32> = [
  RequestField.SessionId,
  RequestField.PromptCacheKey,
  RequestField.MetadataUser,
  RequestField.SafetyIdentifier,
  RequestField.User,
];

/**
 * Shows in `into` what ties the requests of one conversation (or else of one user) together: `session_id`, `prompt_cache_key`,
 * `metadata.user_id`, `safety_identifier` or `user` of the body. False when there is none. Needs `exchange.chat`. A longer key is cut at 256 bytes.
 */
export function findSession(exchange: Exchange, into: Bytes): bool {
  const chat = exchange.chat;
  into.clear();
  if (chat === null) return false;
  for (let i = 0; i < FIELDS.length; i++) {
    const field = unchecked(chat.fields[unchecked(FIELDS[i])]);
    if (field.kind != JsonKind.String || field.length == 0) continue;
    into.set(field.value, field.length);
    return true;
  }
  return false;
}
