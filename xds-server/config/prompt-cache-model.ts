/** The spec of a PromptCache: which requests are answered from what was answered before. It is the plugin configuration of filters/prompt-cache, but for `service`. */
import type { LlmMatch } from "./llm-model.ts";
import type { KeyPart, LlmTraffic, ModelPrice } from "./rate-limit-model.ts";

export interface PromptCacheSpec extends LlmTraffic {
  /** The first that matches is a request's. */
  readonly rules: readonly CacheRule[];
  /** Of each Envoy's memory. */
  readonly maxBytes: number;
  readonly maxEntryBytes: number;
  /** Of each worker's memory, for answers on their way. */
  readonly maxRecordingBytes: number;
  /** 32 hexadecimal digits: what keys are hashed with. */
  readonly secret: string | undefined;
  /** Members at the top of a request that are no part of its key; undefined for the filter's own, which depend on the API. */
  readonly ignore: readonly string[] | undefined;
  /** What Envoys share, kept by this server; undefined for nothing. */
  readonly service: CacheService | undefined;
}

export interface CacheService {
  readonly timeoutMs: number;
  /** How long it keeps an answer. */
  readonly ttlMs: number;
}

export interface CacheRule {
  readonly name: string;
  /** undefined matches everything. */
  readonly match: LlmMatch | undefined;
  /** Requests that are equal in all parts share answers. Without parts all do. */
  readonly key: readonly KeyPart[];
  /** Request headers whose values are part of what is asked. */
  readonly headers: readonly string[];
  /** What becomes of a request that lacks a part of the key. */
  readonly missingKey: "bypass" | "shared";
  /** How long an answer is fresh; how long behind that it may be given while a new one is fetched, and when the upstream fails. */
  readonly ttlMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly cache: CachedRequests;
  readonly transcode: boolean;
  /** Requests that are equal and run at the same time share one call; undefined when they do not. */
  readonly singleFlight: SingleFlight | undefined;
  /** An answer to a question like it will do as well, with at least that similarity; undefined for the server's own threshold, and for a rule that wants the same question. */
  readonly semantic: SimilarQuestions | undefined;
  /** Stored streams are given again as they came; undefined: at once. */
  readonly paced: PacedReplay | undefined;
  readonly clientControl: boolean;
  readonly showKey: boolean;
  /** Percent of its tokens that a hit counts. */
  readonly hitTokens: number;
  /** US dollars per million tokens, for what hits save. */
  readonly prices: readonly ModelPrice[] | undefined;
}

export interface SingleFlight {
  readonly waitMs: number;
  /** Streams are read along at the server's service, while they come. */
  readonly live: boolean;
}

export interface PacedReplay {
  /** Of the speed at which a stream came. */
  readonly speed: number;
  /** No gap is longer. */
  readonly maxGapMs: number;
}

export interface SimilarQuestions {
  readonly threshold: number | undefined;
}

/** Which requests may be answered from the cache. */
export interface CachedRequests {
  /** Those that say 0; that say 0 or nothing; all. */
  readonly temperature: "zero" | "unset" | "any";
  readonly tools: boolean;
  /** Those for several answers, too. */
  readonly choices: boolean;
}
