/** POST /v1/messages of Anthropic: https://docs.anthropic.com/en/api/messages and /messages-streaming for the order of events. */
import type { ToolOffer } from "../answer.ts";
import { asArray, asCount, asObject, asObjects, asString, contentText, type JsonObject } from "../json.ts";
import {
  type AnswerContext,
  type ApiError,
  type ApiFormat,
  type GenerationRequest,
  invalid,
  sse,
  type Usage,
} from "./format.ts";

export const messagesFormat: ApiFormat = {
  path: "/v1/messages",
  parse,
  complete: (context, usage) => ({
    ...envelope(context),
    content: [block(context)],
    stop_reason: stopReason(context),
    usage: usageObject(usage),
  }),
  streamStart: (context, promptUsage) => {
    const start = { ...envelope(context), content: [], stop_reason: null, usage: usageObject(promptUsage) };
    const { tool } = context.answer;
    const empty = tool === undefined ? { type: "text", text: "" } : { ...block(context), input: {} };
    return (
      sse({ type: "message_start", message: start }, "message_start") +
      sse({ type: "content_block_start", index: 0, content_block: empty }, "content_block_start") +
      sse({ type: "ping" }, "ping")
    );
  },
  streamPiece: (context, piece) => {
    const delta =
      context.answer.tool === undefined
        ? { type: "text_delta", text: piece }
        : { type: "input_json_delta", partial_json: piece };
    return sse({ type: "content_block_delta", index: 0, delta }, "content_block_delta");
  },
  streamEnd: (context, usage) => {
    const delta = { stop_reason: stopReason(context), stop_sequence: null };
    return (
      sse({ type: "content_block_stop", index: 0 }, "content_block_stop") +
      sse({ type: "message_delta", delta, usage: usageObject(usage) }, "message_delta") +
      sse({ type: "message_stop" }, "message_stop")
    );
  },
  error: ({ status, message }) => ({ type: "error", error: { type: ERROR_TYPES[status] ?? "api_error", message } }),
};

const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  404: "not_found_error",
  413: "request_too_large",
};

function parse(body: JsonObject): GenerationRequest | ApiError {
  const model = asString(body.model);
  if (model === undefined) return invalid("model: Field required", "model");
  const maxTokens = asCount(body.max_tokens);
  if (maxTokens === undefined) return invalid("max_tokens: Field required", "max_tokens");
  const messages = asArray(body.messages)?.map(asObject);
  if (messages === undefined || messages.length === 0)
    return invalid("messages: at least one message is required", "messages");
  let prompt = `${body.tools === undefined ? "" : JSON.stringify(body.tools)}<system>${contentText(body.system)}\n`;
  let question = "";
  for (const item of messages) {
    if (item === undefined) return invalid("messages: every message must be an object", "messages");
    const text = contentText(item.content);
    prompt += `<${asString(item.role)}>${text}\n`;
    if (item.role === "user") question = text;
  }
  const lastParts = asArray(messages.at(-1)?.content) ?? [];
  const toolAnswered = lastParts.some((part) => asObject(part)?.type === "tool_result");
  return {
    model,
    stream: body.stream === true,
    includeUsage: true,
    prompt,
    question,
    tool: toolAnswered ? undefined : chosenTool(body),
    maxTokens,
    exactLength: body.ignore_eos === true,
  };
}

function chosenTool(body: JsonObject): ToolOffer | undefined {
  const choice = asObject(body.tool_choice);
  if (choice?.type === "none") return undefined;
  const offers = asObjects(body.tools);
  const forced = asString(choice?.name);
  const offer = offers.find((item) => forced === undefined || item.name === forced);
  const name = asString(offer?.name);
  return name === undefined ? undefined : { name, schema: asObject(offer?.input_schema) ?? {} };
}

function envelope({ id, model }: AnswerContext): JsonObject {
  return { id: `msg_${id}`, type: "message", role: "assistant", model, stop_sequence: null };
}

function block(context: AnswerContext): JsonObject {
  const { tool, pieces } = context.answer;
  if (tool === undefined) return { type: "text", text: pieces.join("") };
  return { type: "tool_use", id: `toolu_${context.id}`, name: tool.name, input: JSON.parse(tool.arguments) as unknown };
}

function stopReason({ answer }: AnswerContext): string {
  return { stop: "end_turn", length: "max_tokens", tool: "tool_use" }[answer.finish];
}

/** Anthropic counts cached prompt tokens apart from `input_tokens`. */
function usageObject({ promptTokens, cachedTokens, completionTokens }: Usage): unknown {
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: completionTokens,
  };
}
