/** POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat */
import type { ToolOffer } from "../answer.ts";
import { asArray, asCount, asObject, asObjects, asString, contentText, type JsonObject } from "../json.ts";
import {
  type AnswerContext,
  type ApiError,
  type ApiFormat,
  type GenerationRequest,
  invalid,
  openAiError,
  sse,
  type Usage,
} from "./format.ts";

export const chatFormat: ApiFormat = {
  path: "/v1/chat/completions",
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

/** `usage` of the OpenAI APIs. */
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
  let prompt = body.tools === undefined ? "" : JSON.stringify(body.tools);
  let question = "";
  for (const item of messages) {
    if (item === undefined) return invalid("every message must be an object", "messages");
    const text = contentText(item.content);
    prompt += `<${asString(item.role)}>${text}\n`;
    if (item.role === "user") question = text;
  }
  const toolAnswered = messages.at(-1)?.role === "tool";
  return {
    model,
    stream: body.stream === true,
    includeUsage: asObject(body.stream_options)?.include_usage === true,
    prompt,
    question,
    tool: toolAnswered ? undefined : chosenTool(body),
    maxTokens: asCount(body.max_completion_tokens) ?? asCount(body.max_tokens),
    exactLength: body.ignore_eos === true,
  };
}

/** The tool the client forces, else the first one offered. */
function chosenTool(body: JsonObject): ToolOffer | undefined {
  if (body.tool_choice === "none") return undefined;
  const offers = asObjects(body.tools).map((tool) => asObject(tool.function) ?? {});
  const forced = asString(asObject(asObject(body.tool_choice)?.function)?.name);
  const offer = offers.find((item) => forced === undefined || item.name === forced);
  const name = asString(offer?.name);
  return name === undefined ? undefined : { name, schema: asObject(offer?.parameters) ?? {} };
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
