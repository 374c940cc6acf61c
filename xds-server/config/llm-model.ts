/**
 * The spec of an LLMRouter: which requests are LLM calls, where each goes, and what it looks like there. It is the plugin configuration of
 * filters/llm-router, with one difference: `targets.*.cluster` names a service here and a cluster there (see {@link LlmTarget.cluster}).
 */

export interface LlmRouterSpec {
  /** Suffixes of the paths of LLM calls. */
  readonly paths: readonly string[];
  readonly maxBodyBytes: number;
  /** Carries `targets.*.route` and `models[].route`. */
  readonly routeHeader: string;
  /** Carries `targets.*.cluster`. */
  readonly clusterHeader: string;
  /** Carries the tenant; as every header that is read, none that the filter removes (`x-llm-*`). */
  readonly tenantHeader: string | undefined;
  /** Prompt tokens are estimated as the bytes of the prompt text times this. */
  readonly tokensPerByte: number;
  /** What two `model` keys in one body mean. */
  readonly duplicateModel: "reject" | "lastWins";
  readonly responseHeaders: boolean;
  readonly accessLog: boolean;
  readonly metrics: LlmMetrics;
  /** By name. */
  readonly targets: ReadonlyMap<string, LlmTarget>;
  /** The first that matches decides; they come before `models`. */
  readonly rules: readonly LlmRule[];
  /** The short form: one rule per entry, exact beats longest prefix beats `*`. */
  readonly models: readonly ModelRoute[];
  readonly onMissingModel: LlmDefault;
  readonly onUnknownModel: LlmDefault;
  readonly onMalformedBody: LlmDefault;
  readonly onBodyTooLarge: LlmDefault;
  readonly onBodyUnreadable: LlmDefault;
}

export interface LlmMetrics {
  readonly enabled: boolean;
  /** Models with statistics of their own; undefined for those that the configuration names. */
  readonly models: readonly string[] | undefined;
}

/** Where a request may go. Exactly one of `route` and `cluster` is there. */
export interface LlmTarget {
  /** Value of the route header; a VirtualService says what it means. */
  readonly route: string | undefined;
  /**
   * `host` or `host:port` of a ServiceEntry, resolved as the destination of a VirtualService; the port is needed when the service has
   * several. The target becomes a cluster of its own, and the filter is given the name of that.
   */
  readonly cluster: string | undefined;
  readonly upstreamModel: string | undefined;
  /** Written to `:authority`. */
  readonly host: string | undefined;
  /** A path that starts with `from` gets `to` in its place. */
  readonly pathPrefix: { readonly from: string; readonly to: string } | undefined;
  readonly credential: LlmCredential | undefined;
}

/** A secret in a request header. Exactly one of `env` and `value` is there. */
export interface LlmCredential {
  readonly header: string;
  /** Stands before the secret. */
  readonly prefix: string;
  /** Name of a variable in Envoy's environment. */
  readonly env: string | undefined;
  /** The secret itself. This server shows it nowhere; Envoy does, in its /config_dump, which is why `env` is better. */
  readonly value: string | undefined;
}

export interface LlmRule {
  readonly name: string;
  /** undefined matches everything. */
  readonly match: LlmMatch | undefined;
  readonly targets: readonly WeightedTarget[];
  /** `session`, `tenant` or `header:NAME`: requests that are equal in it go to the same target. */
  readonly stickyBy: string | undefined;
  readonly fallback: LlmFallback | undefined;
}

export type LlmApi =
  | "openai.chat"
  | "openai.completions"
  | "openai.responses"
  | "openai.embeddings"
  | "openai.other"
  | "anthropic.messages"
  | "gemini.generate";

/** Conditions that must all hold; an absent one does. */
export interface LlmMatch {
  readonly models: readonly string[] | undefined;
  /** The model must be `provider/rest`; `models` is then about the rest. */
  readonly provider: string | undefined;
  readonly apis: readonly LlmApi[] | undefined;
  readonly paths: readonly string[] | undefined;
  readonly headers: readonly LlmHeaderMatch[] | undefined;
  readonly tenants: readonly string[] | undefined;
  readonly promptTokens: { readonly atLeast: number | undefined; readonly below: number | undefined } | undefined;
  readonly stream: boolean | undefined;
  readonly tools: boolean | undefined;
  readonly images: boolean | undefined;
  readonly session: boolean | undefined;
  /** A regular expression; filters/lib/pattern says which. */
  readonly lastUserMessage: string | undefined;
}

/** Exactly one of `exact`, `prefix` and `present` is there. */
export interface LlmHeaderMatch {
  readonly name: string;
  readonly exact: string | undefined;
  readonly prefix: string | undefined;
  readonly present: boolean | undefined;
}

export interface WeightedTarget {
  readonly target: string;
  readonly weight: number;
}

/** What happens when the chosen target fails: the next of `targets` is asked, in this order. */
export interface LlmFallback {
  readonly targets: readonly string[];
  /** Statuses that count as a failure, besides connections that fail. */
  readonly statuses: readonly number[];
  /** Milliseconds until the first byte of an answer. */
  readonly firstByteTimeout: number | undefined;
}

export interface ModelRoute {
  /** Exact name, prefix ending in `*`, or `*`. */
  readonly model: string;
  readonly route: string;
  readonly upstreamModel: string | undefined;
}

/** What becomes of a request that no rule can decide on. Exactly one of `route` and `target` is there. */
export type LlmDefault =
  | "reject"
  | {
      readonly route: string | undefined;
      readonly upstreamModel: string | undefined;
      readonly target: string | undefined;
    };
