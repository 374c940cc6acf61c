/**
 * The wire formats of APIs that generate text, free of HTTP: each `ApiFormat` turns a JSON body into a `GenerationRequest` and a generated
 * answer into the API's JSON object or stream. Errors are values; whoever calls decides when to send what.
 */
import type { Answer, ToolOffer } from "../answer.ts";
import type { JsonObject } from "../json.ts";
import type { Conversation } from "./content.ts";
import type { Call } from "./endpoint.ts";
import type { ApiError } from "./errors.ts";

/** When every answer claims to be made, seconds since 1970: fixed, so that the same request has the same answer. */
export const CREATED = 1_750_000_000;

export interface GenerationRequest extends Conversation {
  readonly model: string;
  readonly stream: boolean;
  /** Whether a stream ends with a usage chunk (OpenAI `stream_options.include_usage`). */
  readonly includeUsage: boolean;
  readonly tool: ToolOffer | undefined;
  readonly maxTokens: number | undefined;
  /** Write exactly `maxTokens` (the `ignore_eos` of vLLM). */
  readonly exactLength: boolean;
}

export interface Usage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export interface AnswerContext {
  /** Follows from the replica's name and the bytes of the request's body, without the API's prefix: the same request has the same answer. */
  readonly id: string;
  readonly model: string;
  readonly replica: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly answer: Answer;
  readonly request: GenerationRequest;
}

export interface ApiFormat {
  serves(call: Call): boolean;
  parse(body: JsonObject, call: Call): GenerationRequest | ApiError;
  /** Content type of a stream; default `text/event-stream`. */
  readonly streamType?: string;
  /** The complete answer as a JSON value. */
  complete(context: AnswerContext, usage: Usage): unknown;
  /** What comes before the first token; `promptUsage` has no completion tokens yet. */
  streamStart(context: AnswerContext, promptUsage: Usage): string;
  /** `usage` counts this token too. */
  streamPiece(context: AnswerContext, piece: string, index: number, usage: Usage): string;
  streamEnd(context: AnswerContext, usage: Usage): string;
  error(error: ApiError): unknown;
}

/** One server-sent event; `event` is the line that Anthropic and the Responses API put before the data. */
export function sse(data: unknown, event?: string): string {
  const line = `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
  return event === undefined ? line : `event: ${event}\n${line}`;
}
