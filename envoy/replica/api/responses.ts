/** POST /v1/responses: https://platform.openai.com/docs/api-reference/responses and /responses-streaming for the order of events. */
import type { ToolOffer } from "../answer.ts";
import { asArray, asCount, asObject, asObjects, asString, type JsonObject } from "../json.ts";
import { toolChoice } from "./chat.ts";
import { readConversation, type Turn } from "./content.ts";
import { at } from "./endpoint.ts";
import { type ApiError, invalid, openAiError } from "./errors.ts";
import { type AnswerContext, type ApiFormat, type GenerationRequest, sse, type Usage } from "./format.ts";
import { chooseTool } from "./tool-choice.ts";

export const responsesFormat: ApiFormat = {
  serves: at("/v1/responses"),
  parse,
  complete: (context, usage) => response(context, endStatus(context), [item(context, "completed")], usage),
  streamStart: (context) => {
    const started = response(context, "in_progress", []);
    return events(0, [
      ["response.created", { response: started }],
      ["response.in_progress", { response: started }],
      ["response.output_item.added", { output_index: 0, item: item(context, "in_progress") }],
      ...(context.answer.tool === undefined
        ? [["response.content_part.added", { ...place(context), content_index: 0, part: part("") }] as const]
        : []),
    ]);
  },
  streamPiece: (context, piece, index) => {
    const delta = { ...place(context), delta: piece };
    return events(startedEvents(context) + index, [
      context.answer.tool === undefined
        ? ["response.output_text.delta", { ...delta, content_index: 0, logprobs: [] }]
        : ["response.function_call_arguments.delta", delta],
    ]);
  },
  streamEnd: (context, usage) => {
    const { tool, pieces } = context.answer;
    const text = pieces.join("");
    const done = item(context, "completed");
    const status = endStatus(context);
    const ends: Event[] =
      tool === undefined
        ? [
            ["response.output_text.done", { ...place(context), content_index: 0, text, logprobs: [] }],
            ["response.content_part.done", { ...place(context), content_index: 0, part: part(text) }],
          ]
        : [["response.function_call_arguments.done", { ...place(context), name: tool.name, arguments: text }]];
    return events(startedEvents(context) + pieces.length, [
      ...ends,
      ["response.output_item.done", { output_index: 0, item: done }],
      [`response.${status}`, { response: response(context, status, [done], usage) }],
    ]);
  },
  error: openAiError,
};

type Event = readonly [type: string, fields: JsonObject];

/** Events of `streamStart`; sequence numbers go on from here. */
function startedEvents({ answer }: AnswerContext): number {
  return answer.tool === undefined ? 4 : 3;
}

function parse(body: JsonObject): GenerationRequest | ApiError {
  const model = asString(body.model);
  if (model === undefined) return invalid("you must provide a model parameter", "model");
  const text = asString(body.input);
  const items = asArray(body.input);
  if (text === undefined && items === undefined) return invalid("'input' must be a string or an array", "input");
  const turns = items?.map((entry) => turn(asObject(entry) ?? {})) ?? [{ role: "user", content: text }];
  const tools = body.tools === undefined ? "" : JSON.stringify(body.tools);
  const conversation = readConversation(`${tools}${asString(body.instructions) ?? ""}\n`, turns);
  return {
    ...conversation,
    model,
    stream: body.stream === true,
    includeUsage: true,
    tool: chooseTool(toolOffers(body), toolChoice(body.tool_choice), conversation),
    maxTokens: asCount(body.max_output_tokens),
    exactLength: body.ignore_eos === true,
  };
}

/** An item of `input`: a message, a call of a tool, or the result of one. */
function turn(item: JsonObject): Turn {
  if (item.type === "function_call_output") return { role: "tool", content: item.output };
  if (item.type === "function_call") return { role: "assistant", content: asString(item.arguments) ?? "" };
  return { role: asString(item.role) ?? "", content: item.content };
}

function toolOffers(body: JsonObject): ToolOffer[] {
  return asObjects(body.tools).flatMap((tool) => {
    const name = tool.type === "function" ? asString(tool.name) : undefined;
    return name === undefined ? [] : [{ name, schema: asObject(tool.parameters) ?? {} }];
  });
}

function events(first: number, list: readonly Event[]): string {
  return list.map(([type, fields], i) => sse({ type, sequence_number: first + i, ...fields }, type)).join("");
}

function itemId({ id, answer }: AnswerContext): string {
  return `${answer.tool === undefined ? "msg" : "fc"}_${id}`;
}

function place(context: AnswerContext): JsonObject {
  return { item_id: itemId(context), output_index: 0 };
}

function part(text: string): JsonObject {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

/** The one item of the output; while it is in progress it is still empty. */
function item(context: AnswerContext, status: "in_progress" | "completed"): JsonObject {
  const { tool, pieces } = context.answer;
  const text = status === "completed" ? pieces.join("") : "";
  const id = itemId(context);
  if (tool !== undefined) {
    return { type: "function_call", id, call_id: `call_${context.id}`, name: tool.name, arguments: text, status };
  }
  return { type: "message", id, status, role: "assistant", content: status === "completed" ? [part(text)] : [] };
}

function endStatus({ answer }: AnswerContext): "completed" | "incomplete" {
  return answer.finish === "length" ? "incomplete" : "completed";
}

function response(context: AnswerContext, status: string, output: readonly unknown[], usage?: Usage): JsonObject {
  return {
    id: `resp_${context.id}`,
    object: "response",
    created_at: context.created,
    status,
    error: null,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    instructions: null,
    metadata: { replica: context.replica },
    model: context.model,
    output,
    parallel_tool_calls: false,
    tool_choice: "auto",
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
