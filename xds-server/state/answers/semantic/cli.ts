/** Options of `tokenmesh serve` for answers by similarity. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { whole } from "../whole-number.ts";
import { SEMANTIC_DEFAULTS, type SemanticOptions } from "./options.ts";

export interface SemanticCommandOptions {
  readonly embeddings?: string;
  readonly embeddingsModel: string;
  readonly embeddingsTimeout: number;
  readonly embeddingsBatch: number;
  readonly embeddingsTokens: number;
  readonly similarity: number;
  readonly similarWords: "agree" | "any";
  readonly similarQuestions: number;
  readonly similarBytes: number;
}

/** Secrets come from the environment: arguments are visible to every user of the machine. */
const KEY = "TOKENMESH_EMBEDDINGS_KEY";

const similarity = (text: string): number => {
  const value = Number(text);
  if (/^(0\.\d+|1)$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError("not a number above 0, and at most 1");
};

export function addSemanticOptions(serve: Command): Command {
  const { model, timeoutMs, batch, threshold, maxTokens, words, maxQuestions, maxBytes } = SEMANTIC_DEFAULTS;
  return serve
    .option("--embeddings <url>", "OpenAI-compatible API: answer similar questions alike, by their embeddings")
    .option("--embeddings-model <name>", "as that API knows it", model)
    .option("--embeddings-timeout <ms>", "what it has not embedded by then is a miss", whole, timeoutMs)
    .option("--embeddings-batch <n>", "texts of one call", whole, batch)
    .option("--embeddings-tokens <n>", "what the model reads; longer questions have no part in this", whole, maxTokens)
    .option(
      "--similarity <n>",
      "least cosine of two questions, where a rule does not say",
      similarity,
      threshold / 1_000,
    )
    .addOption(
      new Option("--similar-words <how>", "whether their words have to agree besides")
        .choices(["agree", "any"])
        .default(words),
    )
    .option("--similar-questions <n>", "remembered where all but the question is the same", whole, maxQuestions)
    .option("--similar-bytes <n>", "questions in memory", whole, maxBytes);
}

/** undefined without an endpoint. */
export function semanticOptions(options: SemanticCommandOptions): SemanticOptions | undefined {
  const { embeddings: url } = options;
  if (url === undefined) return undefined;
  const key = process.env[KEY] || undefined;
  return {
    url,
    model: options.embeddingsModel,
    timeoutMs: options.embeddingsTimeout,
    batch: options.embeddingsBatch,
    maxTokens: options.embeddingsTokens,
    threshold: Math.round(options.similarity * 1_000),
    words: options.similarWords,
    maxQuestions: options.similarQuestions,
    maxBytes: options.similarBytes,
    ...(key === undefined ? {} : { key }),
  };
}
