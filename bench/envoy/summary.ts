/** From samples to the figures of the tables. Pure. */
import { type Sample, totalMicros } from "./measure.ts";
import { median, minimum, pairedDifferences, type Spread, spread } from "./statistics.ts";

/** One arm under one load over all rounds; CPU time in µs per request, helper included. */
export interface Summary {
  readonly load: string;
  readonly arm: string;
  readonly rounds: number;
  readonly requestsPerRound: number;
  readonly minMicros: number;
  readonly medianMicros: number;
  /** Median of the helper's part of it. */
  readonly helperMicros: number;
  /** Differences to `bare` in the same round; undefined without that arm. */
  readonly overBare: Spread | undefined;
  /** Difference of the two minima. */
  readonly minOverBare: number | undefined;
  readonly framesPerAnswer: number;
}

/** In the order in which loads and arms first appear in `samples` when sorted by the given lists. */
export function summarise(samples: readonly Sample[], loads: readonly string[], arms: readonly string[]): Summary[] {
  const of = (load: string, arm: string): Sample[] =>
    samples.filter((sample) => sample.load === load && sample.arm === arm).sort((a, b) => a.round - b.round);
  return loads.flatMap((load) => {
    const base = of(load, "bare").map(totalMicros);
    return arms.map((arm): Summary => {
      const own = of(load, arm);
      const micros = own.map(totalMicros);
      return {
        load,
        arm,
        rounds: own.length,
        requestsPerRound: own[0]?.requests ?? 0,
        minMicros: minimum(micros),
        medianMicros: median(micros),
        helperMicros: median(own.map(({ helperMicros }) => helperMicros)),
        overBare: base.length === 0 ? undefined : spread(pairedDifferences(micros, base)),
        minOverBare: base.length === 0 ? undefined : minimum(micros) - minimum(base),
        framesPerAnswer: median(own.map(({ framesPerAnswer }) => framesPerAnswer)),
      };
    });
  });
}
