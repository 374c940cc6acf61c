/** One call of an OpenAI-compatible `POST /embeddings`. Whatever comes back is checked: vectors of unit length, or an error. */
import { MAX_ANSWER_BYTES, MAX_DIMENSIONS, MIN_DIMENSIONS } from "./limits.ts";

/** `timeout`: no answer in time. `refused`: the endpoint works and does not want these texts. `failed`: anything else. `open`: left alone for now. `busy`: too many wait. */
export type EmbeddingFailure = "timeout" | "refused" | "failed" | "open" | "busy";

export class EmbeddingError extends Error {
  override readonly name = "EmbeddingError";
  readonly reason: EmbeddingFailure;

  constructor(reason: EmbeddingFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

export interface EmbeddingsEndpoint {
  /** Of the API, such as `https://api.openai.com/v1`; without user and password. */
  readonly url: string;
  readonly model: string;
  /** Sent as a bearer token. */
  readonly key?: string | undefined;
}

/** Statuses by which an endpoint says that a text is too long or otherwise wrong. */
const REFUSALS: ReadonlySet<number> = new Set([400, 413, 422]);

/** One vector of unit length for each text. @param closing ends it early @throws EmbeddingError */
export async function callEmbeddings(
  { url, model, key }: EmbeddingsEndpoint,
  texts: readonly string[],
  timeoutMs: number,
  closing: AbortSignal,
): Promise<readonly Float32Array[]> {
  const controller = new AbortController();
  let late = false;
  const abort = () => controller.abort();
  const timer = setTimeout(() => {
    late = true;
    abort();
  }, timeoutMs);
  closing.addEventListener("abort", abort);
  try {
    const response = await fetch(`${url.replace(/\/+$/, "")}/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({ model, input: texts }),
      // With the key it must not go elsewhere.
      redirect: "error",
      signal: controller.signal,
    });
    if (!response.ok) {
      await response.body?.cancel();
      const reason = REFUSALS.has(response.status) ? "refused" : "failed";
      throw new EmbeddingError(reason, `the endpoint answered ${response.status}`);
    }
    return vectorsOf(JSON.parse(await readText(response)), texts.length);
  } catch (error) {
    if (error instanceof EmbeddingError) throw error;
    if (late) throw new EmbeddingError("timeout", `no answer in ${timeoutMs} ms`, { cause: error });
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new EmbeddingError("failed", cause, { cause: error });
  } finally {
    clearTimeout(timer);
    closing.removeEventListener("abort", abort);
  }
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new EmbeddingError("failed", `more than ${MAX_ANSWER_BYTES} bytes of answer`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** @throws EmbeddingError */
function vectorsOf(answer: unknown, count: number): readonly Float32Array[] {
  const data = memberOf(answer, "data");
  const vectors = new Array<Float32Array | undefined>(count).fill(undefined);
  if (Array.isArray(data)) {
    for (const [place, each] of (data as readonly unknown[]).entries()) {
      const index = memberOf(each, "index") ?? place;
      if (typeof index === "number" && index in vectors) vectors[index] = unitVector(memberOf(each, "embedding"));
    }
  }
  const whole = vectors.filter((vector) => vector !== undefined);
  if (whole.length < count || whole.some(({ length }) => length !== whole[0]?.length))
    throw new EmbeddingError("failed", "not one embedding for each text");
  return whole;
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;

/** undefined for what is no direction. */
function unitVector(numbers: unknown): Float32Array | undefined {
  if (!Array.isArray(numbers) || numbers.length < MIN_DIMENSIONS || numbers.length > MAX_DIMENSIONS) return undefined;
  if (!numbers.every((each) => typeof each === "number")) return undefined;
  const length = Math.hypot(...numbers);
  return Number.isFinite(length) && length > 0 ? Float32Array.from(numbers, (each) => each / length) : undefined;
}
