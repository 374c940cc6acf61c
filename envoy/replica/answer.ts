/**
 * What a replica says: a deterministic text that names the model and the replica, or a call of one of the offered tools.
 *
 * One piece is one token. The text is not meant to be clever; it is meant to show which replica answered and to have an exact length.
 */
import { asArray, asObject, asString, type JsonObject } from "./json.ts";

interface ToolCall {
  readonly name: string;
  /** Arguments as a JSON text. */
  readonly arguments: string;
}

export interface Answer {
  /** Pieces of text, or of the tool call's argument text; at least one. */
  readonly pieces: readonly string[];
  readonly tool: ToolCall | undefined;
  /** `length` when the token limit cut the answer. */
  readonly finish: "stop" | "length" | "tool";
}

export interface ToolOffer {
  readonly name: string;
  /** JSON schema of the arguments. */
  readonly schema: JsonObject;
}

interface AnswerRequest {
  readonly model: string;
  readonly replica: string;
  /** Last words of the user, echoed in the answer. */
  readonly question: string;
  /** Images of the conversation; the answer says how many it has seen. */
  readonly images: number;
  readonly tool: ToolOffer | undefined;
  /** Length of an answer that no limit cuts, tokens. */
  readonly usualTokens: number;
  /** Limit set by the client, tokens. */
  readonly maxTokens: number | undefined;
  /** Ignore the usual length and write exactly `maxTokens` (the `ignore_eos` of vLLM). */
  readonly exactLength: boolean;
}

const WORDS = ["tokens", "flow", "through", "the", "mesh", "and", "every", "answer", "finds", "its", "way", "home"];
const ECHO_CHARS = 60;

export function writeAnswer(request: AnswerRequest): Answer {
  if (request.tool !== undefined) {
    const call = { name: request.tool.name, arguments: sampleArguments(request.tool.schema, request) };
    return { pieces: call.arguments.match(/.{1,8}/gsu) ?? ["{}"], tool: call, finish: "tool" };
  }
  const limit = request.maxTokens ?? Number.POSITIVE_INFINITY;
  const wanted = request.exactLength && request.maxTokens !== undefined ? request.maxTokens : request.usualTokens;
  const length = Math.max(1, Math.min(limit, wanted));
  const pieces = [`model ${request.model} on replica ${request.replica}:`];
  const echo = request.question.replace(/\s+/g, " ").trim().slice(0, ECHO_CHARS);
  if (length > 1 && echo !== "") pieces.push(` "${echo}"`);
  if (pieces.length < length && request.images > 0) pieces.push(` [images: ${request.images}]`);
  for (let i = 0; pieces.length < length; i++) pieces.push(` ${WORDS[i % WORDS.length]}`);
  return { pieces, tool: undefined, finish: length < wanted || request.exactLength ? "length" : "stop" };
}

/** Arguments that satisfy the simple schemas of tests: each required property gets a value of its type. */
function sampleArguments(schema: JsonObject, request: AnswerRequest): string {
  const properties = asObject(schema.properties) ?? {};
  const required = asArray(schema.required)?.flatMap((name) => asString(name) ?? []) ?? Object.keys(properties);
  const values: Record<string, unknown> = {};
  for (const name of required) values[name] = sampleValue(asObject(properties[name]), request);
  return JSON.stringify(values);
}

function sampleValue(schema: JsonObject | undefined, request: AnswerRequest): unknown {
  const choices = asArray(schema?.enum);
  if (choices !== undefined && choices.length > 0) return choices[0];
  switch (
    asString(schema?.type)?.toLowerCase() // Gemini writes types in capitals
  ) {
    case "number":
    case "integer":
      return 1;
    case "boolean":
      return true;
    case "array":
      return [];
    case "object":
      return {};
    default:
      return request.question.slice(0, ECHO_CHARS);
  }
}
