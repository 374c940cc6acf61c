/** POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat */
import type { ToolOffer } from "../answer.ts";
import { asArray, asCount, asObject, asObjects, asString, type JsonObject } from "../json.ts";
import { readConversation } from "./content.ts";
import { at } from "./endpoint.ts";
import { type ApiError, invalid, openAiError } from "./errors.ts";
import { type AnswerContext, type ApiFormat, type GenerationRequest, sse, type Usage } from "./format.ts";
import { chooseTool, type ToolChoice } from "./tool-choice.ts";

export const chatFormat: ApiFormat = {
  serves: at("/v1/chat/completions"),
  parse,
  complete: (context, usage) => ({
    ...envelope(context, "chat.completion"),
    choices: [{ index: 0, message: message(context), logprobs: null, finish_reason: finishReason(context) }],
    usage: openAiUsage(usage),
  }),
  streamStart: (context) => {
    const tool = context.answer.tool;
    const delta = { role: "assistant", content: tool === undefined ? "" : null };
    if (tool === undefined) return chunk(context, delta);
    const call = { index: 0, id: `call_${context.id}`, type: "function", function: { name: tool.name, arguments: "" } };
    return chunk(context, { ...delta, tool_calls: [call] });
  },
  streamPiece: (context, piece) =>
    context.answer.tool === undefined
      ? chunk(context, { content: piece })
      : chunk(context, { tool_calls: [{ index: 0, function: { arguments: piece } }] }),
  streamEnd: (context, usage) => {
    const end = chunk(context, {}, finishReason(context));
    const usageChunk = context.request.includeUsage
      ? sse({ ...envelope(context, "chat.completion.chunk"), choices: [], usage: openAiUsage(usage) })
      : "";
    return `${end}${usageChunk}${sse("[DONE]")}`;
  },
  error: openAiError,
};

/** `usage` of chat completions and completions. */
export function openAiUsage({ promptTokens, cachedTokens, completionTokens }: Usage): unknown {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

function parse(body: JsonObject): GenerationRequest | ApiError {
  const model = asString(body.model);
  if (model === undefined) return invalid("you must provide a model parameter", "model");
  const messages = asArray(body.messages)?.map(asObject);
  if (messages === undefined || messages.length === 0)
    return invalid("'messages' must be a non-empty array", "messages");
  const turns = messages.map((message) => ({ role: asString(message?.role) ?? "", content: message?.content }));
  if (messages.includes(undefined)) return invalid("every message must be an object", "messages");
  const conversation = readConversation(body.tools === undefined ? "" : JSON.stringify(body.tools), turns);
  return {
    ...conversation,
    model,
    stream: body.stream === true,
    includeUsage: asObject(body.stream_options)?.include_usage === true,
    tool: chooseTool(toolOffers(body), toolChoice(body.tool_choice), conversation),
    maxTokens: asCount(body.max_completion_tokens) ?? asCount(body.max_tokens),
    exactLength: body.ignore_eos === true,
  };
}

function toolOffers(body: JsonObject): ToolOffer[] {
  return asObjects(body.tools).flatMap((tool) => {
    const offer = asObject(tool.function);
    const name = asString(offer?.name);
    return name === undefined ? [] : [{ name, schema: asObject(offer?.parameters) ?? {} }];
  });
}

/** `tool_choice` of the OpenAI APIs: the name is in `function` (chat) or beside the type (responses). */
export function toolChoice(value: unknown): ToolChoice {
  if (value === "none") return "none";
  if (value === "required") return "any";
  const choice = asObject(value);
  const name = asString(asObject(choice?.function)?.name) ?? asString(choice?.name);
  return name === undefined ? "auto" : { name };
}

function envelope({ id, created, model, replica }: AnswerContext, object: string): JsonObject {
  return { id: `chatcmpl-${id}`, object, created, model, system_fingerprint: replica };
}

function message(context: AnswerContext): unknown {
  const { tool, pieces } = context.answer;
  if (tool === undefined) return { role: "assistant", content: pieces.join(""), refusal: null };
  return {
    role: "assistant",
    content: null,
    refusal: null,
    tool_calls: [{ id: `call_${context.id}`, type: "function", function: tool }],
  };
}

function finishReason({ answer }: AnswerContext): string {
  return answer.finish === "tool" ? "tool_calls" : answer.finish;
}

function chunk(context: AnswerContext, delta: unknown, finish: string | null = null): string {
  return sse({
    ...envelope(context, "chat.completion.chunk"),
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  });
}
