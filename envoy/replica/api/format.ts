/**
 * The wire formats of model APIs, free of HTTP: each `ApiFormat` turns a JSON body into a `GenerationRequest` and a generated answer into the
 * API's JSON object or server-sent events. Errors are values; the server decides when to send what.
 */
import type { Answer, ToolOffer } from "../answer.ts";
import type { JsonObject } from "../json.ts";

export interface GenerationRequest {
  readonly model: string;
  readonly stream: boolean;
  /** Whether a stream ends with a usage chunk (OpenAI `stream_options.include_usage`). */
  readonly includeUsage: boolean;
  /** Everything the engine reads, in order: the same conversation start gives the same leading text. */
  readonly prompt: string;
  /** Last user text. */
  readonly question: string;
  readonly tool: ToolOffer | undefined;
  readonly maxTokens: number | undefined;
  readonly exactLength: boolean;
}

export interface Usage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export interface AnswerContext {
  /** Unique per replica, without the API's prefix. */
  readonly id: string;
  readonly model: string;
  readonly replica: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly answer: Answer;
  readonly request: GenerationRequest;
}

export interface ApiError {
  readonly status: number;
  readonly code:
    | "invalid_json"
    | "invalid_request"
    | "model_not_found"
    | "not_found"
    | "body_too_large"
    | "context_length";
  readonly message: string;
  readonly param?: string;
}

export interface ApiFormat {
  /** Path of the POST endpoint. */
  readonly path: string;
  parse(body: JsonObject): GenerationRequest | ApiError;
  /** The complete answer as a JSON value. */
  complete(context: AnswerContext, usage: Usage): unknown;
  /** Events before the first token; `promptUsage` has no completion tokens yet. */
  streamStart(context: AnswerContext, promptUsage: Usage): string;
  streamPiece(context: AnswerContext, piece: string, index: number): string;
  streamEnd(context: AnswerContext, usage: Usage): string;
  error(error: ApiError): unknown;
}

export function isApiError(value: GenerationRequest | ApiError): value is ApiError {
  return "status" in value;
}

export function invalid(message: string, param: string): ApiError {
  return { status: 400, code: "invalid_request", message, param };
}

/** One server-sent event; `event` is the line that Anthropic and the Responses API put before the data. */
export function sse(data: unknown, event?: string): string {
  const line = `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
  return event === undefined ? line : `event: ${event}\n${line}`;
}

/** Error object of the OpenAI API. */
export function openAiError({ code, message, param }: ApiError): unknown {
  const names: Partial<Record<ApiError["code"], string>> = { context_length: "context_length_exceeded" };
  return { error: { message, type: "invalid_request_error", param: param ?? null, code: names[code] ?? code } };
}
