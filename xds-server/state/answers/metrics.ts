/** Prometheus metrics of the answer service, in the server's registry. Labels have a fixed set of values. */
import { type Counter, Histogram, type Registry } from "prom-client";
import { metricMakers } from "./metric-makers.ts";
import { PurgeKind } from "./purge.ts";

/** What became of a get. All but `hit` and `similar` are misses for the filter. */
export const GET_RESULTS = [
  "hit",
  "similar",
  "miss",
  "purged",
  "foreign",
  "damaged",
  "unavailable",
  "busy",
  "failed",
  "malformed",
] as const;
export type GetResult = (typeof GET_RESULTS)[number];

export const PUT_RESULTS = ["stored", "unavailable", "busy", "failed", "malformed"] as const;
export type PutResult = (typeof PUT_RESULTS)[number];

export const POLL_RESULTS = ["news", "nothing", "refused", "malformed"] as const;

export interface AnswerMetrics {
  readonly gets: Counter<"result">;
  readonly puts: Counter<"result">;
  readonly polls: Counter<"result">;
  readonly bytes: Counter<"what">;
  readonly seconds: Histogram<"call">;
  readonly purges: Counter<"kind">;
  readonly evictions: Counter<"what">;
}

/** What is read when metrics are collected. */
export interface AnswerGauges {
  readonly up: () => boolean;
  readonly pollers: () => number;
  /** Of the store in memory; undefined for one elsewhere. */
  readonly memory: () => { readonly entries: number; readonly bytes: number } | undefined;
}

const BUCKETS = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5];

export function createAnswerMetrics(registry: Registry, { up, pollers, memory }: AnswerGauges): AnswerMetrics {
  const { counter, gauge } = metricMakers(registry);
  gauge("store_up", "1 while the store answers.", () => (up() ? 1 : 0));
  gauge("pollers", "Calls of Envoys that wait for purges.", pollers);
  gauge("entries", "Answers in memory; 0 with a store elsewhere.", () => memory()?.entries ?? 0);
  gauge(
    "memory_bytes",
    "Bytes of the answers in memory, packed; 0 with a store elsewhere.",
    () => memory()?.bytes ?? 0,
  );
  return {
    gets: counter(
      "gets_total",
      "Answers asked for, by result. All but hit and similar are misses.",
      "result",
      GET_RESULTS,
    ),
    puts: counter("puts_total", "Answers to be stored, by result.", "result", PUT_RESULTS),
    polls: counter("polls_total", "Calls for purges, by result.", "result", POLL_RESULTS),
    bytes: counter("bytes_total", "Bytes of answers: put, as packed for the store, and got.", "what", [
      "put",
      "packed",
      "got",
    ]),
    seconds: new Histogram({
      name: "tokenmesh_answers_seconds",
      help: "Time of a call in the service and its store.",
      labelNames: ["call"],
      buckets: BUCKETS,
      registers: [registry],
    }),
    purges: counter("purges_total", "Purges by this server, by kind.", "kind", Object.keys(PurgeKind)),
    evictions: counter("evictions_total", "Answers dropped from memory for room, by what they were.", "what", [
      "live",
      "expired",
    ]),
  };
}
