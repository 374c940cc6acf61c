/** From what happened to each request to the figures of a run. Pure. */
import { median, quantile } from "../envoy/statistics.ts";
import type { Scenario } from "./scenario.ts";

export interface Outcome {
  readonly id: number;
  readonly arrivedAt: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly slot: number;
  cachedTokens: number;
  /** Instants of the first and the last token, ms; missing when the run ended before. */
  firstAt?: number;
  lastAt?: number;
}

export interface Latencies {
  readonly requests: number;
  /** Cached prompt tokens of all prompt tokens, of requests that got their first token; percent. */
  readonly hit: number;
  /** ms. A request without a first token counts with the time that it has waited: less than the truth. */
  readonly ttft50: number;
  readonly ttft90: number;
  readonly ttft99: number;
}

export interface Measures extends Latencies {
  /** Median ms per token behind the first. */
  readonly tpot: number;
  /** Median over one-second samples of the largest in-flight count, relative to the mean. */
  readonly imbalance: number;
  /** Most requests served by one replica, relative to the mean. */
  readonly served: number;
  /** Share of requests that got their first token before the end of the run, percent. */
  readonly answered: number;
  /** The queues grow without bound: fewer than half of the requests got a first token. */
  readonly collapsed: boolean;
  readonly spans: Readonly<Record<string, Latencies>>;
}

/** Answered share below which latencies mean nothing, percent. */
const COLLAPSED_BELOW = 50;

interface Run {
  readonly outcomes: readonly Outcome[];
  readonly samples: readonly { readonly at: number; readonly imbalance: number }[];
  readonly scenario: Scenario;
}

export function measure({ outcomes, samples, scenario }: Run): Measures {
  const [from, to] = [scenario.warmMs, scenario.endMs - scenario.drainMs];
  const within = (name: { arrivedAt: number }, start: number, end: number): boolean =>
    name.arrivedAt >= start && name.arrivedAt < end;
  const counted = outcomes.filter((one) => within(one, from, to));
  const answered = counted.filter(({ firstAt }) => firstAt !== undefined);
  const paces = counted.flatMap(({ firstAt, lastAt, outputTokens }) =>
    firstAt === undefined || lastAt === undefined || outputTokens < 2 ? [] : [(lastAt - firstAt) / (outputTokens - 1)],
  );
  const bySlot = new Array<number>(scenario.replicas).fill(0);
  for (const { slot } of answered) bySlot[slot] = (bySlot[slot] ?? 0) + 1;
  const share = percent(answered.length, counted.length);
  return {
    ...latencies(counted, scenario.endMs),
    tpot: median(paces),
    imbalance: median(samples.filter(({ at }) => at >= from && at < to).map(({ imbalance }) => imbalance)),
    served: (Math.max(...bySlot) * scenario.replicas) / Math.max(1, answered.length),
    answered: share,
    collapsed: share < COLLAPSED_BELOW,
    spans: Object.fromEntries(
      (scenario.spans ?? []).map(({ name, from: start, to: end }) => [
        name,
        latencies(
          outcomes.filter((one) => within(one, start, end)),
          scenario.endMs,
        ),
      ]),
    ),
  };
}

function latencies(outcomes: readonly Outcome[], endMs: number): Latencies {
  const waits = outcomes.map(({ arrivedAt, firstAt }) => (firstAt ?? endMs) - arrivedAt);
  const answered = outcomes.filter(({ firstAt }) => firstAt !== undefined);
  const sum = (value: (one: Outcome) => number): number => answered.reduce((total, one) => total + value(one), 0);
  return {
    requests: outcomes.length,
    hit: percent(
      sum(({ cachedTokens }) => cachedTokens),
      sum(({ promptTokens }) => promptTokens),
    ),
    ttft50: quantile(waits, 0.5),
    ttft90: quantile(waits, 0.9),
    ttft99: quantile(waits, 0.99),
  };
}

const percent = (part: number, whole: number): number => (whole === 0 ? 0 : (100 * part) / whole);

/** Figure by figure the mean of several seeds; collapsed when most of them are. */
export function meanOf(runs: readonly Measures[]): Measures {
  const mean = (value: (one: Measures) => number): number =>
    runs.reduce((sum, one) => sum + value(one), 0) / runs.length;
  const meanLatencies = (of: (one: Measures) => Latencies | undefined): Latencies => ({
    requests: mean((one) => of(one)?.requests ?? 0),
    hit: mean((one) => of(one)?.hit ?? 0),
    ttft50: mean((one) => of(one)?.ttft50 ?? 0),
    ttft90: mean((one) => of(one)?.ttft90 ?? 0),
    ttft99: mean((one) => of(one)?.ttft99 ?? 0),
  });
  return {
    ...meanLatencies((one) => one),
    tpot: mean(({ tpot }) => tpot),
    imbalance: mean(({ imbalance }) => imbalance),
    served: mean(({ served }) => served),
    answered: mean(({ answered }) => answered),
    collapsed: runs.filter(({ collapsed }) => collapsed).length * 2 > runs.length,
    spans: Object.fromEntries(
      Object.keys(runs[0]?.spans ?? {}).map((name) => [name, meanLatencies(({ spans }) => spans[name])]),
    ),
  };
}
