/** The spec of an EndpointPicker: which endpoint of a service a request goes to. With addresses in place of services it is the plugin configuration of filters/hash-ring. */
import type { LlmMatch } from "./llm-model.ts";
import type { LlmTraffic } from "./rate-limit-model.ts";

export interface EndpointPickerSpec extends LlmTraffic {
  /** Response header that says which endpoint answered. */
  readonly servedHeader: string | undefined;
  /** How often the loads of endpoints are asked for; undefined for never. */
  readonly feed: LoadsFeed | undefined;
  /** The first whose targets and match hold is taken. */
  readonly pools: readonly PickerPool[];
}

export interface LoadsFeed {
  readonly intervalMs: number;
  /** Loads that are older say nothing. */
  readonly maxAgeMs: number;
}

/** Endpoints of one service, and how one of them is picked. */
export interface PickerPool {
  readonly name: string;
  /** As the destination of a route names it. */
  readonly host: string;
  readonly port: number | undefined;
  readonly subset: PickerSubset | undefined;
  /** Names of the router's targets, or routes; undefined for those targets that are this service, and without such for every request. */
  readonly targets: readonly string[] | undefined;
  /** undefined matches everything. */
  readonly match: LlmMatch | undefined;
  readonly policy: PickPolicy;
  /** With policy consistent-hash, and only then. */
  readonly key: readonly PickKeyPart[] | undefined;
  /** With policy consistent-hash, and only then. */
  readonly hash: PickHash | undefined;
  /** An endpoint may have so many times the mean of requests in flight. With consistent-hash and prefix-affinity, and only then. */
  readonly bound: number | undefined;
  /** As many it may always have. With consistent-hash and prefix-affinity, and only then. */
  readonly leastInflight: number | undefined;
  /** With policy prefix-affinity, and only then. */
  readonly affinity: PrefixAffinity | undefined;
  /** An endpoint with so many requests in flight is not picked. */
  readonly maxInflight: number | undefined;
  readonly slowStartMs: number;
  readonly loraAffinity: boolean;
  readonly preferLocality: boolean;
  readonly orca: boolean;
  /** What becomes of a request that no endpoint can take: Envoy's own choice, or 503. */
  readonly onNone: "fallback" | "refuse";
  readonly shed: PickShed | undefined;
}

export type PickPolicy =
  | "prefix-affinity"
  | "consistent-hash"
  | "round-robin"
  | "random"
  | "least-request"
  | "least-response-time"
  | "weighted-round-robin";

/** `name` and `labels` say which endpoints belong to the pool, at most one of them; `header` and `metadata` which of those a request may go to. */
export interface PickerSubset {
  /** A subset of the host's DestinationRule. */
  readonly name: string | undefined;
  readonly labels: ReadonlyMap<string, string> | undefined;
  /** Request header with `ip[:port]`, separated by commas. */
  readonly header: string | undefined;
  /** Envoy's dynamic metadata says the same. */
  readonly metadata: boolean | undefined;
}

/** Exactly one is there. */
export interface PickKeyPart {
  readonly header: string | undefined;
  readonly cookie: string | undefined;
  readonly path: boolean | undefined;
  readonly user: boolean | undefined;
  /** The API's own session, or the header that carries it. */
  readonly session: true | string | undefined;
  readonly prefix: boolean | undefined;
}

export interface PickHash {
  readonly function: "xxhash64" | "sha1" | "murmur";
  readonly method: "rendezvous" | "ring" | "maglev";
  /** Per endpoint of weight 1. With method ring, and only then. */
  readonly points: number | undefined;
}

/** Of the algorithm in filters/hash-ring/README.md; tokens except `threshold`, a share from 0 to 1. */
export interface PrefixAffinity {
  readonly threshold: number;
  readonly slackTokens: number;
  readonly queueTokens: number;
  readonly requestTokens: number;
  readonly prefixTokens: number;
}

/** Requests that are refused while the pool is saturated. */
export interface PickShed {
  readonly header: string;
  readonly values: readonly string[];
  /** Requests that wait at an endpoint, and percent of its KV cache, which count as full. */
  readonly waiting: number;
  readonly kvPercent: number;
}
