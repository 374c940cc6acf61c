/** Metrics of the semantic tier. They are there also when it is off, and stand still. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { EmbeddingFailure } from "./embeddings-call.ts";

const FAILURES = ["timeout", "refused", "failed", "open", "busy"] as const satisfies readonly EmbeddingFailure[];

/** What became of a look for a similar question. All but `hit` are misses. */
export const SEMANTIC_GET_RESULTS = ["hit", "none", "words", "gone", "long", ...FAILURES] as const;
export type SemanticGetResult = Exclude<(typeof SEMANTIC_GET_RESULTS)[number], "hit">;

/** What became of the question of an answer that was stored. */
export const SEMANTIC_PUT_RESULTS = ["stored", "unshared", "long", ...FAILURES] as const;
export type SemanticPutResult = (typeof SEMANTIC_PUT_RESULTS)[number];

export const EMBEDDING_RESULTS = ["ok", "timeout", "refused", "failed"] as const;

/** What is read when metrics are collected. */
export interface SemanticGauges {
  readonly up: () => boolean;
  readonly partitions: () => number;
  readonly questions: () => number;
  readonly bytes: () => number;
}

export interface SemanticMetrics {
  readonly gets: Counter<"result">;
  readonly puts: Counter<"result">;
  readonly calls: Counter<"result">;
  readonly lookupSeconds: Histogram;
  readonly callSeconds: Histogram;
  /** Where the gauges are read from now on. */
  readonly read: (gauges: SemanticGauges) => void;
}

const BUCKETS = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export function createSemanticMetrics(registry: Registry): SemanticMetrics {
  const registers = [registry];
  const counter = (name: string, help: string, values: readonly string[]) => {
    const made = new Counter({ name: `tokenmesh_answers_${name}`, help, labelNames: ["result"], registers });
    for (const result of values) made.inc({ result }, 0);
    return made;
  };
  const histogram = (name: string, help: string) =>
    new Histogram({ name: `tokenmesh_answers_${name}`, help, buckets: BUCKETS, registers });
  let gauges: SemanticGauges | undefined;
  const gauge = (name: string, help: string, read: (gauges: SemanticGauges) => number) =>
    new Gauge({
      name: `tokenmesh_answers_${name}`,
      help,
      registers,
      collect() {
        this.set(gauges === undefined ? 0 : read(gauges));
      },
    });
  gauge(
    "embeddings_up",
    "1 while the embeddings endpoint is asked; 0 while it is left alone, and without one.",
    ({ up }) => (up() ? 1 : 0),
  );
  gauge("partitions", "Partitions of questions in memory.", ({ partitions }) => partitions());
  gauge("questions", "Questions in memory.", ({ questions }) => questions());
  gauge("question_bytes", "Their bytes.", ({ bytes }) => bytes());
  return {
    gets: counter("similar_gets_total", "Looks for a similar question, by result.", SEMANTIC_GET_RESULTS),
    puts: counter("similar_puts_total", "Questions of stored answers, by result.", SEMANTIC_PUT_RESULTS),
    calls: counter("embedding_calls_total", "Calls of the embeddings endpoint, by result.", EMBEDDING_RESULTS),
    lookupSeconds: histogram("similar_seconds", "Time of a look for a similar question, with its embedding."),
    callSeconds: histogram("embedding_seconds", "Time of a call of the embeddings endpoint."),
    read: (given) => {
      gauges = given;
    },
  };
}
