/** Settings of the semantic tier. */
import { ServerError } from "../../../errors.ts";
import type { EmbeddingsEndpoint } from "./embeddings-call.ts";

export interface SemanticOptions extends Pick<EmbeddingsEndpoint, "url" | "key"> {
  /** Name of the model, as the endpoint knows it. */
  readonly model?: string;
  /** Longest time that a get waits for an embedding, ms. */
  readonly timeoutMs?: number;
  /** Texts of one call. */
  readonly batch?: number;
  /** Least cosine in thousandths, where a request does not say. */
  readonly threshold?: number;
  /** How much the model reads; longer questions have no part in this. */
  readonly maxTokens?: number;
  /** Whether the words of two questions have to agree besides (wording.ts). */
  readonly words?: "agree" | "any";
  /** Questions of one partition. */
  readonly maxQuestions?: number;
  /** Of the index in memory. */
  readonly maxBytes?: number;
}

/** The threshold belongs to this model: docs/answer-service.md has the figures. */
export const SEMANTIC_DEFAULTS = {
  model: "all-MiniLM-L6-v2",
  timeoutMs: 500,
  batch: 16,
  threshold: 970,
  maxTokens: 256,
  words: "agree",
  maxQuestions: 1_000,
  maxBytes: 64 * 1024 * 1024,
} as const;

export type SemanticSettings = Omit<Required<SemanticOptions>, "key"> & Pick<SemanticOptions, "key">;

/** With defaults for what is left out. @throws ServerError TM_USAGE; the URL is in no message, as there may be a password in it */
export function checkedOptions(options: SemanticOptions): SemanticSettings {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (
    url === undefined ||
    !/^https?:$/.test(url.protocol) ||
    url.username + url.password + url.search + url.hash !== ""
  )
    throw new ServerError(
      "TM_USAGE",
      "the embeddings API needs a URL such as http://127.0.0.1:8080/v1, without a user",
    );
  return { ...SEMANTIC_DEFAULTS, ...options };
}
