/** One POST endpoint of a replica: reading is apart from answering, so that the model is known before a scripted failure or an answer begins. */
import type { GenerationHost } from "../generate.ts";
import { asObject, type JsonObject, parseJson } from "../json.ts";
import type { AnswerOutput } from "../output.ts";
import { ApiError } from "./errors.ts";

export interface Call {
  /** Path without query. */
  readonly route: string;
  readonly query: URLSearchParams;
  readonly contentType: string;
  readonly body: Buffer;
}

export interface ReadCall {
  readonly model: string;
  /** Writes the answer, at once or as tokens appear. With an error nothing has been written. */
  answer(output: AnswerOutput): ApiError | undefined;
}

export interface Endpoint {
  /** Looks at `route` and `query` only. */
  serves(call: Call): boolean;
  read(call: Call, host: GenerationHost): ReadCall | ApiError | Promise<ReadCall | ApiError>;
  /** The vendor's error object. */
  error(error: ApiError): unknown;
}

/** True for a call of exactly this path. */
export function at(path: string): (call: Call) => boolean {
  return ({ route }) => route === path;
}

/** A percent-encoded part of a path; undefined when the encoding is broken. */
export function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** The body as a JSON object. */
export function jsonBody({ body }: Call): JsonObject | ApiError {
  const json = asObject(parseJson(body.toString("utf8")));
  return json ?? new ApiError(400, "invalid_json", "the body is not a JSON object");
}

/** An answer that is ready as soon as the request has been read. */
export function jsonAnswer(model: string, value: unknown): ReadCall {
  return {
    model,
    answer: (output) => {
      output.json(200, value);
      return undefined;
    },
  };
}
