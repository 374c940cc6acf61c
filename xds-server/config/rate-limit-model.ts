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
  /** With a rule that is not local, and only then. */
  readonly service: RateLimitService | undefined;
}

/** The Rate Limit Service that keeps the budgets of rules with mode strict or leased. */
export interface RateLimitService {
  /** `host[:port]` of a ServiceEntry, as a target of an LLMRouter names it. */
  readonly cluster: string;
  /** Under which the service knows the budgets. */
  readonly domain: string;
  /** `ledger` knows reservations; `envoy` is any other service of Envoy's protocol. */
  readonly protocol: "ledger" | "envoy";
  readonly timeoutMs: number;
  /** The amounts of the rules go with each call; else the service's own configuration says them. */
  readonly override: boolean;
  /** It takes negative hits. Only with protocol envoy, which then has a value. */
  readonly refunds: boolean | undefined;
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
  /** Who keeps the budgets. */
  readonly mode: RuleMode;
  /** What becomes of requests while the service cannot be asked. With a mode that is not local, and only then. */
  readonly onFailure: OnFailure | undefined;
  /** Percent of an amount that an Envoy takes in advance. With mode leased, and only then. */
  readonly leasePercent: number | undefined;
  /** Milliseconds that a request without room waits for some. Only with mode local. */
  readonly queueMs: number | undefined;
  /** What becomes of a stream that uses more than it reserved when the budget has no more. */
  readonly overrun: Overrun;
}

export type MissingKey = "shared" | "skip" | "reject";
/** This Envoy by itself; a service that is asked for each request; one of which each Envoy takes shares in advance. */
export type RuleMode = "local" | "strict" | "leased";
export type OnFailure = "local" | "open" | "closed";
/** It goes on; it is ended with the terminal event of its API; it is held until there is room. */
export type Overrun = "allow" | "stop" | "pace";

/** A value in the dynamic metadata of a request. */
export interface MetadataPath {
  readonly namespace: string;
  readonly path: readonly string[];
}

/** Exactly one is there; `payloadKey` besides `claim`. */
export interface KeyPart {
  readonly header: string | undefined;
  readonly apiKey: boolean | undefined;
  /** Of the payload that envoy.filters.http.jwt_authn wrote to the dynamic metadata. */
  readonly claim: string | undefined;
  /** Where that filter put the payload, its `payload_in_metadata`. */
  readonly payloadKey: string | undefined;
  readonly metadata: MetadataPath | undefined;
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
  /** Where a request says its own amount; `amount` holds for those that do not. */
  readonly amountFrom: AmountFrom | undefined;
  readonly per: LimitPeriod;
  /** Any interval of that length, instead of one of the calendar. */
  readonly rolling: boolean;
  /** By which days and months begin: `Z`, an offset such as `+02:00`, or a POSIX time zone. Names are translated when they are read. */
  readonly timeZone: string | undefined;
}

/** Exactly one is there. */
export interface AmountFrom {
  readonly header: string | undefined;
  readonly metadata: MetadataPath | undefined;
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
