/** The spec of a TokenRateLimit: which requests have which budgets. It is the plugin configuration of filters/token-rate-limit. */
import type { LlmMatch, LlmRouterSpec } from "./llm-model.ts";

/** What every LLM filter asks: which requests are LLM calls, how much of them is held, what is measured. */
export type LlmTraffic = Pick<
  LlmRouterSpec,
  "paths" | "maxBodyBytes" | "tenantHeader" | "tokensPerByte" | "duplicateModel" | "accessLog" | "metrics"
>;

export interface TokenRateLimitSpec extends LlmTraffic, RateLimits {}

/** What is the limiter's own. */
export interface RateLimits {
  /** All that match apply. */
  readonly rules: readonly RateLimitRule[];
  /** Budgets that are kept at the same time, over all rules. */
  readonly maxKeys: number;
  /** Streams that tokens are counted of report their usage, whether the client asked for it or not. */
  readonly includeUsage: boolean;
}

export interface RateLimitRule {
  readonly name: string;
  /** undefined matches everything. */
  readonly match: LlmMatch | undefined;
  /** Requests that are equal in all parts share a budget. Without parts all do. */
  readonly key: readonly KeyPart[];
  /** What becomes of a request that lacks a part. */
  readonly missingKey: MissingKey;
  readonly limits: readonly RateLimit[];
  /** Only with a limit of weightedTokens. */
  readonly weights: TokenRates | undefined;
  /** US dollars per million tokens. With a limit of money, and only then. */
  readonly prices: readonly ModelPrice[] | undefined;
  /** Counts and reports, and refuses nothing. */
  readonly shadow: boolean;
}

export type MissingKey = "shared" | "skip" | "reject";

/** Exactly one is there; `payloadKey` besides `claim`. */
export interface KeyPart {
  readonly header: string | undefined;
  readonly apiKey: boolean | undefined;
  /** Of the payload that envoy.filters.http.jwt_authn wrote to the dynamic metadata. */
  readonly claim: string | undefined;
  /** Where that filter put the payload, its `payload_in_metadata`. */
  readonly payloadKey: string | undefined;
  readonly metadata: { readonly namespace: string; readonly path: readonly string[] } | undefined;
  readonly clientAddress: boolean | undefined;
  readonly model: boolean | undefined;
  readonly tenant: boolean | undefined;
  readonly session: boolean | undefined;
  readonly constant: string | undefined;
}

export type LimitUnit = "tokens" | "promptTokens" | "completionTokens" | "weightedTokens" | "requests" | "money";
export type LimitPeriod = "second" | "minute" | "hour" | "day" | "month";

export interface RateLimit {
  readonly unit: LimitUnit;
  /** In whole tokens and requests; weightedTokens with up to 3 decimals; US dollars with up to 9. */
  readonly amount: number;
  readonly per: LimitPeriod;
  /** Any interval of that length, instead of one of the calendar. */
  readonly rolling: boolean;
  /** `Z`, or an offset such as `+02:00`, by which days and months begin. */
  readonly timeZone: string | undefined;
}

/** What a token of each class counts. */
export interface TokenRates {
  /** Prompt tokens that the provider's cache had nothing to do with. */
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  /** Generated tokens without thoughts. */
  readonly output: number;
  readonly reasoning: number;
}

export interface ModelPrice extends TokenRates {
  /** Exact name, prefix ending in `*`, or `*`. */
  readonly model: string;
}
