/**
 * Gemini: POST /v1beta/models/MODEL:generateContent and :streamGenerateContent, https://ai.google.dev/api/generate-content
 *
 * The model is in the path, not in the body. A stream is server-sent events with `alt=sse` (lines end with CR LF), and else one JSON array
 * that grows element by element. Field names are accepted in both spellings of protobuf's JSON, `inlineData` and `inline_data`.
 */
import type { ToolOffer } from "../answer.ts";
import { asArray, asCount, asObject, asObjects, asString, type JsonObject } from "../json.ts";
import { contentText, readConversation } from "./content.ts";
import { type Call, decodeSegment } from "./endpoint.ts";
import { type ApiError, googleError, invalid } from "./errors.ts";
import type { AnswerContext, ApiFormat, GenerationRequest, Usage } from "./format.ts";
import { chooseTool, type ToolChoice } from "./tool-choice.ts";

const ROUTE = /^\/v1(?:beta)?\/models\/([^/]+):(generateContent|streamGenerateContent)$/;

/** Whole answers, and streams of events. */
export const geminiFormat: ApiFormat = {
  serves: (call) => ROUTE.test(call.route) && !isArrayStream(call),
  parse,
  complete: (context, usage) => chunk(context, parts(context, answerText(context)), usage, true),
  streamStart: () => "",
  streamPiece: (context, piece, _, usage) =>
    context.answer.tool === undefined ? event(chunk(context, parts(context, piece), usage)) : "",
  streamEnd: (context, usage) => event(chunk(context, lastParts(context), usage, true)),
  error: googleError,
};

/** Streams as a JSON array. */
export const geminiArrayFormat: ApiFormat = {
  ...geminiFormat,
  serves: (call) => ROUTE.test(call.route) && isArrayStream(call),
  streamType: "application/json; charset=UTF-8",
  streamStart: () => "[",
  streamPiece: (context, piece, index, usage) => {
    if (context.answer.tool !== undefined) return "";
    return `${index === 0 ? "" : ",\r\n"}${JSON.stringify(chunk(context, parts(context, piece), usage))}`;
  },
  streamEnd: (context, usage) => {
    const comma = context.answer.tool === undefined ? ",\r\n" : "";
    return `${comma}${JSON.stringify(chunk(context, lastParts(context), usage, true))}\n]`;
  },
};

function isArrayStream({ route, query }: Call): boolean {
  return route.endsWith(":streamGenerateContent") && query.get("alt") !== "sse";
}

function parse(body: JsonObject, { route }: Call): GenerationRequest | ApiError {
  const [, escaped = "", method] = ROUTE.exec(route) ?? [];
  const model = decodeSegment(escaped);
  if (model === undefined) return invalid("the model in the path is not percent-encoded", "model");
  const contents = asArray(body.contents)?.map(asObject);
  if (contents === undefined || contents.length === 0) return invalid("contents is not specified", "contents");
  const turns = contents.map((content) => ({ role: asString(content?.role) ?? "user", content: content?.parts }));
  const system = asObject(body.systemInstruction ?? body.system_instruction);
  const tools = body.tools === undefined ? "" : JSON.stringify(body.tools);
  const conversation = readConversation(`${tools}<system>${contentText(system?.parts)}\n`, turns);
  const limits = asObject(body.generationConfig ?? body.generation_config);
  return {
    ...conversation,
    model,
    stream: method === "streamGenerateContent",
    includeUsage: true,
    tool: chooseTool(toolOffers(body), toolChoice(body), conversation),
    maxTokens: asCount(limits?.maxOutputTokens ?? limits?.max_output_tokens),
    exactLength: false,
  };
}

function toolOffers(body: JsonObject): ToolOffer[] {
  const declarations = asObjects(body.tools).flatMap((tool) =>
    asObjects(tool.functionDeclarations ?? tool.function_declarations),
  );
  return declarations.flatMap((declaration) => {
    const name = asString(declaration.name);
    const schema = asObject(declaration.parametersJsonSchema) ?? asObject(declaration.parameters) ?? {};
    return name === undefined ? [] : [{ name, schema }];
  });
}

function toolChoice(body: JsonObject): ToolChoice {
  const config = asObject(body.toolConfig ?? body.tool_config);
  const calling = asObject(config?.functionCallingConfig ?? config?.function_calling_config);
  if (calling?.mode === "NONE") return "none";
  if (calling?.mode !== "ANY") return "auto";
  const name = asString(asArray(calling.allowedFunctionNames ?? calling.allowed_function_names)?.[0]);
  return name === undefined ? "any" : { name };
}

function answerText({ answer }: AnswerContext): string {
  return answer.pieces.join("");
}

/** Text, or the whole call: Gemini does not stream the arguments of a call. */
function parts({ answer, id }: AnswerContext, text: string): unknown[] {
  const { tool } = answer;
  if (tool === undefined) return [{ text }];
  const args = JSON.parse(tool.arguments) as unknown;
  // Opaque to clients, which send it back; Gemini 3 insists on it.
  const thoughtSignature = Buffer.from(id).toString("base64");
  return [{ functionCall: { id: `call_${id}`, name: tool.name, args }, thoughtSignature }];
}

function lastParts(context: AnswerContext): unknown[] {
  return parts(context, "");
}

function chunk(context: AnswerContext, content: unknown[], usage: Usage, last = false): JsonObject {
  const finishReason = context.answer.finish === "length" ? "MAX_TOKENS" : "STOP";
  const candidate = { content: { parts: content, role: "model" }, index: 0 };
  return {
    candidates: [last ? { ...candidate, finishReason } : candidate],
    usageMetadata: usageMetadata(usage),
    modelVersion: context.model,
    responseId: context.id,
  };
}

function usageMetadata({ promptTokens, cachedTokens, completionTokens }: Usage): JsonObject {
  return {
    promptTokenCount: promptTokens,
    ...(cachedTokens > 0 ? { cachedContentTokenCount: cachedTokens } : {}),
    candidatesTokenCount: completionTokens,
    totalTokenCount: promptTokens + completionTokens,
    promptTokensDetails: [{ modality: "TEXT", tokenCount: promptTokens }],
  };
}

function event(data: unknown): string {
  return `data: ${JSON.stringify(data)}\r\n\r\n`;
}
