/** POST /v1/messages of Anthropic: https://docs.anthropic.com/en/api/messages and /messages-streaming for the order of events. */
import type { ToolOffer } from "../answer.ts";
import { asArray, asCount, asObject, asObjects, asString, type JsonObject } from "../json.ts";
import { promptTokensOf } from "../tokens.ts";
import { type Conversation, contentText, readConversation } from "./content.ts";
import { at, type Endpoint, jsonAnswer, jsonBody } from "./endpoint.ts";
import { ApiError, anthropicError, invalid } from "./errors.ts";
import { type AnswerContext, type ApiFormat, type GenerationRequest, sse, type Usage } from "./format.ts";
import { chooseTool, type ToolChoice } from "./tool-choice.ts";

export const messagesFormat: ApiFormat = {
  serves: at("/v1/messages"),
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
  error: anthropicError,
};

/** POST /v1/messages/count_tokens: what `usage` would say about the same request. */
export const countTokensEndpoint: Endpoint = {
  serves: at("/v1/messages/count_tokens"),
  error: anthropicError,
  read: (call) => {
    const body = jsonBody(call);
    if (body instanceof ApiError) return body;
    const read = readBody(body);
    if (read instanceof ApiError) return read;
    return jsonAnswer(read.model, { input_tokens: promptTokensOf(read.conversation) });
  },
};

/** What messages and count_tokens have in common. */
function readBody(body: JsonObject): { model: string; conversation: Conversation } | ApiError {
  const model = asString(body.model);
  if (model === undefined) return invalid("model: Field required", "model");
  const messages = asArray(body.messages)?.map(asObject);
  if (messages === undefined || messages.length === 0)
    return invalid("messages: at least one message is required", "messages");
  if (messages.includes(undefined)) return invalid("messages: every message must be an object", "messages");
  const turns = messages.map((message) => ({ role: asString(message?.role) ?? "", content: message?.content }));
  const tools = body.tools === undefined ? "" : JSON.stringify(body.tools);
  return { model, conversation: readConversation(`${tools}<system>${contentText(body.system)}\n`, turns) };
}

function parse(body: JsonObject): GenerationRequest | ApiError {
  const read = readBody(body);
  if (read instanceof ApiError) return read;
  const maxTokens = asCount(body.max_tokens);
  if (maxTokens === undefined) return invalid("max_tokens: Field required", "max_tokens");
  return {
    ...read.conversation,
    model: read.model,
    stream: body.stream === true,
    includeUsage: true,
    tool: chooseTool(toolOffers(body), toolChoice(body.tool_choice), read.conversation),
    maxTokens,
    exactLength: body.ignore_eos === true,
  };
}

function toolOffers(body: JsonObject): ToolOffer[] {
  return asObjects(body.tools).flatMap((tool) => {
    const name = asString(tool.name);
    return name === undefined ? [] : [{ name, schema: asObject(tool.input_schema) ?? {} }];
  });
}

function toolChoice(value: unknown): ToolChoice {
  const choice = asObject(value);
  const name = asString(choice?.name);
  if (name !== undefined) return { name };
  return choice?.type === "none" || choice?.type === "any" ? choice.type : "auto";
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
