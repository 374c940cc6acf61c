/** POST /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings. Vectors are deterministic and small. */
import { asArray, asString, type JsonObject } from "../json.ts";
import { countTokens } from "../tokens.ts";
import { at, type Endpoint, jsonAnswer, jsonBody } from "./endpoint.ts";
import { ApiError, invalid, openAiError } from "./errors.ts";

export const embeddingsEndpoint: Endpoint = {
  serves: at("/v1/embeddings"),
  error: openAiError,
  read: (call) => {
    const body = jsonBody(call);
    const request = body instanceof ApiError ? body : parse(body);
    if (request instanceof ApiError) return request;
    return jsonAnswer(request.model, answerTo(request));
  },
};

interface EmbeddingsRequest {
  readonly model: string;
  readonly inputs: readonly string[];
  /** The official Node client asks for base64 unless told otherwise. */
  readonly base64: boolean;
}

const DIMENSIONS = 8;

function parse(body: JsonObject): EmbeddingsRequest | ApiError {
  const model = asString(body.model);
  if (model === undefined) return invalid("you must provide a model parameter", "model");
  const single = asString(body.input);
  const inputs = single !== undefined ? [single] : asArray(body.input)?.map(String);
  if (inputs === undefined || inputs.length === 0)
    return invalid("'input' must be a string or a non-empty array", "input");
  return { model, inputs, base64: body.encoding_format === "base64" };
}

function answerTo({ inputs, base64, model }: EmbeddingsRequest): unknown {
  const data = inputs.map((text, index) => {
    const vector = embed(text);
    return { object: "embedding", index, embedding: base64 ? toBase64(vector) : [...vector] };
  });
  const promptTokens = countTokens(inputs.join(""));
  return { object: "list", data, model, usage: { prompt_tokens: promptTokens, total_tokens: promptTokens } };
}

/** A unit vector that depends on every character. */
function embed(text: string): Float32Array {
  const vector = new Float32Array(DIMENSIONS).fill(0.01);
  for (let i = 0; i < text.length; i++) {
    const place = i % DIMENSIONS;
    vector[place] = (vector[place] ?? 0) + Math.sin(text.charCodeAt(i) + i);
  }
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}

function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
