/** POST /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings. Vectors are deterministic and small. */
import { asArray, asString, type JsonObject } from "../json.ts";
import { type ApiError, invalid } from "./format.ts";

export const EMBEDDINGS_PATH = "/v1/embeddings";

export interface EmbeddingsRequest {
  readonly model: string;
  readonly inputs: readonly string[];
  /** The official Node client asks for base64 unless told otherwise. */
  readonly base64: boolean;
}

const DIMENSIONS = 8;

export function parseEmbeddings(body: JsonObject): EmbeddingsRequest | ApiError {
  const model = asString(body.model);
  if (model === undefined) return invalid("you must provide a model parameter", "model");
  const single = asString(body.input);
  const inputs = single !== undefined ? [single] : asArray(body.input)?.map(String);
  if (inputs === undefined || inputs.length === 0)
    return invalid("'input' must be a string or a non-empty array", "input");
  return { model, inputs, base64: body.encoding_format === "base64" };
}

export function embeddingsAnswer({ inputs, base64 }: EmbeddingsRequest, model: string, promptTokens: number): unknown {
  const data = inputs.map((text, index) => {
    const vector = embed(text);
    return { object: "embedding", index, embedding: base64 ? toBase64(vector) : [...vector] };
  });
  return { object: "list", data, model, usage: { prompt_tokens: promptTokens, total_tokens: promptTokens } };
}

/** A unit vector that depends on every character. */
function embed(text: string): Float32Array {
  const vector = new Float32Array(DIMENSIONS).fill(0.01);
  for (let i = 0; i < text.length; i++) {
    const at = i % DIMENSIONS;
    vector[at] = (vector[at] ?? 0) + Math.sin(text.charCodeAt(i) + i);
  }
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}

function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
