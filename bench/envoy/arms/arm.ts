/** An arm: one way to route by the model in the body and to count the tokens of the answer, as configuration of one Envoy. */
import type { JsonObject } from "../../../envoy/harness/index.ts";

/** What an arm may use when its Envoy is configured. */
export interface Surroundings {
  /** Absolute path of the repository. */
  readonly root: string;
  /** `host:port` of the arm's helper process, if it has one. */
  readonly helper: string | undefined;
}

/** Where the probe looks for the counted tokens. */
export type UsageSource =
  /** Response header x-usage, written by the probe's own filter from dynamic metadata. */
  | { readonly kind: "metadata" }
  /** Two counters of Envoy, prompt and completion tokens; their increase is what was counted. */
  | { readonly kind: "counters"; readonly prompt: string; readonly completion: string }
  | { readonly kind: "none"; readonly reason: string };

export interface Arm {
  readonly name: string;
  /** One line for the report: how it does each part of the job. */
  readonly does: string;
  /** Whether it routes by model at all. */
  readonly routes: boolean;
  readonly usage: UsageSource;
  httpFilters(around: Surroundings): JsonObject[];
  /** Replaces the routes that match on the route header. */
  routeList?(): JsonObject[];
  clusters?(around: Surroundings): JsonObject[];
  /** Command of a process beside Envoy whose CPU time is part of the arm's; prints {"address": "host:port"} when it is ready. */
  helper?(around: Surroundings): { readonly command: string; readonly args: readonly string[] };
  /** Why the arm cannot run here, if it cannot. */
  missing?(around: Surroundings): string | undefined;
}

/** Full name of an Envoy message, for `@type`. */
export const type = (message: string): string => `type.googleapis.com/envoy.${message}`;
