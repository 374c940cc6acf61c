/** POST /v1/responses, text only: https://platform.openai.com/docs/api-reference/responses and /responses-streaming. */
import { asArray, asCount, asObject, asString, contentText, type JsonObject } from "../json.ts";
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

export const responsesFormat: ApiFormat = {
  path: "/v1/responses",
  parse,
  complete: (context, usage) => response(context, "completed", [item(context, "completed")], usage),
  streamStart: (context) => {
    const started = response(context, "in_progress", []);
    return events(0, [
      ["response.created", { response: started }],
      ["response.in_progress", { response: started }],
      ["response.output_item.added", { output_index: 0, item: { ...item(context, "in_progress"), content: [] } }],
      ["response.content_part.added", { ...place(context), part: part("") }],
    ]);
  },
  streamPiece: (context, piece, index) =>
    events(STARTED_EVENTS + index, [["response.output_text.delta", { ...place(context), delta: piece, logprobs: [] }]]),
  streamEnd: (context, usage) => {
    const text = context.answer.pieces.join("");
    const done = item(context, "completed");
    return events(STARTED_EVENTS + context.answer.pieces.length, [
      ["response.output_text.done", { ...place(context), text, logprobs: [] }],
      ["response.content_part.done", { ...place(context), part: part(text) }],
      ["response.output_item.done", { output_index: 0, item: done }],
      ["response.completed", { response: response(context, "completed", [done], usage) }],
    ]);
  },
  error: openAiError,
};

/** Events of `streamStart`; sequence numbers go on from here. */
const STARTED_EVENTS = 4;

function parse(body: JsonObject): GenerationRequest | ApiError {
  const model = asString(body.model);
  if (model === undefined) return invalid("you must provide a model parameter", "model");
  const items = asArray(body.input)?.map((entry) => asObject(entry) ?? {});
  const question = asString(body.input) ?? items?.map((entry) => contentText(entry.content)).at(-1);
  if (question === undefined) return invalid("'input' must be a string or an array", "input");
  const turns = items?.map((entry) => `<${asString(entry.role)}>${contentText(entry.content)}\n`).join("") ?? question;
  return {
    model,
    stream: body.stream === true,
    includeUsage: true,
    prompt: `${asString(body.instructions) ?? ""}\n${turns}`,
    question,
    tool: undefined,
    maxTokens: asCount(body.max_output_tokens),
    exactLength: body.ignore_eos === true,
  };
}

function events(first: number, list: readonly (readonly [string, JsonObject])[]): string {
  return list.map(([type, fields], i) => sse({ type, sequence_number: first + i, ...fields }, type)).join("");
}

function place(context: AnswerContext): JsonObject {
  return { item_id: `msg_${context.id}`, output_index: 0, content_index: 0 };
}

function part(text: string): JsonObject {
  return { type: "output_text", text, annotations: [] };
}

function item(context: AnswerContext, status: string): JsonObject {
  const content = [part(context.answer.pieces.join(""))];
  return { type: "message", id: `msg_${context.id}`, status, role: "assistant", content };
}

function response(context: AnswerContext, status: string, output: readonly unknown[], usage?: Usage): JsonObject {
  return {
    id: `resp_${context.id}`,
    object: "response",
    created_at: context.created,
    status,
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: { replica: context.replica },
    model: context.model,
    output,
    parallel_tool_calls: false,
    tool_choice: "none",
    tools: [],
    usage:
      usage === undefined
        ? null
        : {
            input_tokens: usage.promptTokens,
            input_tokens_details: { cached_tokens: usage.cachedTokens },
            output_tokens: usage.completionTokens,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: usage.promptTokens + usage.completionTokens,
          },
  };
}
