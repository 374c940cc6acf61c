/** An arm: one way to route by the model in the body and to count the tokens of the answer, as configuration of one Envoy. */
import type { JsonObject } from "../../../envoy/harness/index.ts";
import type { Addresses, Helper } from "../helpers.ts";
import type { Family } from "../loads.ts";

/** What an arm may use when its Envoy is configured. */
export interface Surroundings {
  /** Absolute path of the repository. */
  readonly root: string;
  /** Of the arm's helpers. */
  readonly addresses: Addresses;
  /** `ip:port` of the upstream of each route. */
  readonly upstreams: Readonly<Record<string, string>>;
}

/** Where the probe looks for the counted tokens. */
export type UsageSource =
  /** Response header x-usage, written by the probe's own filter from dynamic metadata. */
  | { readonly kind: "metadata" }
  /** Two counters of Envoy, prompt and completion tokens; their increase is what was counted. */
  | { readonly kind: "counters"; readonly prompt: string; readonly completion: string }
  | { readonly kind: "none"; readonly reason: string };

/** What the arm's budgets say has been used, for the probe. */
export interface Charges {
  /** True: the tokens of the answers, no more and no less. False: at least these, because tokens are taken in advance, for many requests or for good. */
  readonly exact: boolean;
  /** Tokens charged so far. */
  read(around: Surroundings): Promise<number>;
}

export interface Arm {
  readonly name: string;
  /** One line for the report: how it does each part of the job. */
  readonly does: string;
  /** Which loads it is measured under; default "routing". */
  readonly family?: Family;
  /** Whether it routes by model at all. */
  readonly routes: boolean;
  readonly usage: UsageSource;
  readonly charges?: Charges;
  httpFilters(around: Surroundings): JsonObject[];
  /** Replaces the routes that match on the route header. */
  routeList?(): JsonObject[];
  clusters?(around: Surroundings): JsonObject[];
  /** Further fields of every upstream cluster. */
  readonly upstreamCluster?: JsonObject;
  /** In the order in which they are started. */
  readonly helpers?: readonly Helper[];
  /** Why the arm cannot run here, if it cannot; its helpers are asked as well. */
  missing?(root: string): string | undefined;
}

/** Full name of an Envoy message, for `@type`. */
export const type = (message: string): string => `type.googleapis.com/envoy.${message}`;
