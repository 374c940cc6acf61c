/**
 * Asks the upstream for the usage of a stream that the client did not ask for.
 *
 * OpenAI's chat completions and completions report the usage of a stream only with `stream_options.include_usage`. Whoever did not ask for it must not get
 * the event that has it, so the answer is filtered then (usage-filter.ts).
 *
 *   stream_options            becomes
 *   absent                    "stream_options":{"include_usage":true}, in front of the other members
 *   null                      {"include_usage":true}
 *   an object                 the same one, with "include_usage":true as its first member, or in place of false or null
 *   include_usage: true, several of either key, another kind of value: left as it is
 */
import { ChatRequest } from "../lib/chat-request";
import { JsonKind } from "../lib/json-scanner";
import { Api } from "../lib/llm-api";
import { Flag, RequestField } from "../lib/request-field";
import { Bytes } from "../sdk";
import { Exchange, Problem } from "./exchange";

const MEMBER = Bytes.literal('"stream_options":{"include_usage":true},');
const OBJECT = Bytes.literal('{"include_usage":true}');
const FIRST = Bytes.literal('"include_usage":true,');
const ONLY = Bytes.literal('"include_usage":true');
const TRUE = Bytes.literal("true");

/** The literal is `null`: no other has that beginning. */
const N: u8 = 0x6e;

/** Plans the edit of the body where one is needed; true when there is one. While `exchange.chat` is there. */
export function includeUsage(exchange: Exchange): bool {
  const chat = exchange.chat;
  if (chat === null || exchange.problem != Problem.None) return false;
  if (exchange.api != Api.ChatCompletions && exchange.api != Api.Completions) return false;
  // Of several `stream` nobody knows which one counts upstream.
  if (chat.flag(RequestField.Stream) != Flag.True || chat.fields[RequestField.Stream].count != 1) return false;
  const options = chat.streamOptions;
  const start = <i32>options.start;
  if (options.count == 0) return exchange.edit(<i32>chat.firstMember, <i32>chat.firstMember, MEMBER);
  if (options.count > 1) return false;
  if (options.kind == JsonKind.Object) return setMember(exchange, chat, start + 1);
  const isNull = options.kind == JsonKind.Literal && options.length == 4 && load<u8>(options.value) == N;
  return isNull && exchange.edit(start, <i32>options.end, OBJECT);
}

/** `first`: offset behind the brace that opens `stream_options`. */
function setMember(exchange: Exchange, chat: ChatRequest, first: i32): bool {
  const member = chat.fields[RequestField.IncludeUsage];
  if (member.count == 0) return exchange.edit(first, first, chat.streamOptionsEmpty ? ONLY : FIRST);
  const flag = chat.flag(RequestField.IncludeUsage);
  if (member.count > 1 || (flag != Flag.False && flag != Flag.Absent)) return false;
  return exchange.edit(<i32>member.start, <i32>member.end, TRUE);
}
