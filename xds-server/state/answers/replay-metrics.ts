/** Prometheus metrics of stored streams that are given again as they came (paced-replays.ts), in the server's registry. Labels have a fixed set of values. */
import type { Counter, Registry } from "prom-client";
import { metricMakers } from "./metric-makers.ts";
import type { PacedReplays } from "./paced-replays.ts";

/** What became of one: all was given, the client left, its request never came, or there were too many. */
export const REPLAY_RESULTS = ["complete", "left", "unclaimed", "refused"] as const;
export type ReplayResult = (typeof REPLAY_RESULTS)[number];

/** @param replays read when metrics are collected */
export function createReplayMetrics(registry: Registry, replays: () => PacedReplays): Counter<"result"> {
  const { counter, gauge } = metricMakers(registry);
  gauge("replays", "Stored streams that are being given as they came.", () => replays().size);
  gauge("replay_memory_bytes", "Bytes of these answers in memory.", () => replays().bytes);
  return counter("replays_total", "Stored streams that were given as they came, by result.", "result", REPLAY_RESULTS);
}
