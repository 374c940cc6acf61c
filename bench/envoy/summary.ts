/** From samples to the figures of the tables. Pure. */
import { helpersMicros, type Sample, totalMicros } from "./measure.ts";
import { median, minimum, pairedDifferences, type Spread, spread } from "./statistics.ts";

/** One arm under one load over all rounds; CPU time in µs per request, helpers included. */
export interface Summary {
  readonly load: string;
  readonly arm: string;
  readonly rounds: number;
  readonly requestsPerRound: number;
  readonly minMicros: number;
  readonly medianMicros: number;
  /** Median of the helpers' part of it, and of each of them. */
  readonly helperMicros: number;
  readonly helpers: Readonly<Record<string, number>>;
  /** Median of Envoy's part. */
  readonly envoyMicros: number;
  /** Differences to `bare` in the same round; undefined without that arm. */
  readonly overBare: Spread | undefined;
  /** Difference of the two minima. */
  readonly minOverBare: number | undefined;
  /** Time to the whole answer: over the rounds, median of their medians and of their 99th percentiles. */
  readonly p50Micros: number;
  readonly p99Micros: number;
  /** Differences of these to `bare` in the same round. */
  readonly p50OverBare: Spread | undefined;
  readonly p99OverBare: Spread | undefined;
  readonly framesPerAnswer: number;
}

/** In the order in which loads and arms first appear in `samples` when sorted by the given lists. */
export function summarise(samples: readonly Sample[], loads: readonly string[], arms: readonly string[]): Summary[] {
  const of = (load: string, arm: string): Sample[] =>
    samples.filter((sample) => sample.load === load && sample.arm === arm).sort((a, b) => a.round - b.round);
  return loads.flatMap((load) => {
    const bare = of(load, "bare");
    const overBare = (own: readonly Sample[], figure: (sample: Sample) => number): Spread | undefined =>
      bare.length === 0 ? undefined : spread(pairedDifferences(own.map(figure), bare.map(figure)));
    const bareMicros = bare.map(totalMicros);
    const measured = arms.filter((arm) => of(load, arm).length > 0);
    return measured.map((arm): Summary => {
      const own = of(load, arm);
      const micros = own.map(totalMicros);
      return {
        load,
        arm,
        rounds: own.length,
        requestsPerRound: own[0]?.requests ?? 0,
        minMicros: minimum(micros),
        medianMicros: median(micros),
        helperMicros: median(own.map(helpersMicros)),
        helpers: Object.fromEntries(
          Object.keys(own[0]?.helperMicros ?? {}).map((name) => [
            name,
            median(own.map(({ helperMicros }) => helperMicros[name] ?? Number.NaN)),
          ]),
        ),
        envoyMicros: median(own.map(({ envoyMicros }) => envoyMicros)),
        overBare: overBare(own, totalMicros),
        minOverBare: bare.length === 0 ? undefined : minimum(micros) - minimum(bareMicros),
        p50Micros: median(own.map(({ p50Micros }) => p50Micros)),
        p99Micros: median(own.map(({ p99Micros }) => p99Micros)),
        p50OverBare: overBare(own, ({ p50Micros }) => p50Micros),
        p99OverBare: overBare(own, ({ p99Micros }) => p99Micros),
        framesPerAnswer: median(own.map(({ framesPerAnswer }) => framesPerAnswer)),
      };
    });
  });
}
