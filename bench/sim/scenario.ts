/** What is simulated, as data. */
import { type ReplicaTiming, TIMING_PROFILES } from "../../envoy/replica/timing.ts";
import { BLOCK_TOKENS } from "./request.ts";
import type { Traffic } from "./traffic.ts";

/** A replica that goes, after which it still answers what it has, or that comes back with nothing cached. */
export interface FleetChange {
  readonly at: number;
  readonly slot: number;
  readonly what: "leave" | "join";
}

/** Part of the run for which latencies are given apart, ms. */
export interface Span {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly replicas: number;
  /** KV blocks of 64 tokens of each replica. */
  readonly kvBlocks: number;
  readonly traffic: readonly Traffic[];
  /** Requests that arrive in [warmMs, endMs - drainMs) count. */
  readonly warmMs: number;
  readonly drainMs: number;
  readonly endMs: number;
  readonly changes?: readonly FleetChange[];
  readonly spans?: readonly Span[];
  /** ms between scrapes of what engines report; without it reports are exact. */
  readonly scrapeMs?: number;
}

/** The calibration for H100 nodes that replicas have in real time too, with blocks as large as those that a proxy hashes. */
export const timingOf = ({ kvBlocks }: Scenario): ReplicaTiming => ({
  ...TIMING_PROFILES.h100,
  blockTokens: BLOCK_TOKENS,
  kvBlocks,
});
