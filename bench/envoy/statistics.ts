/** Order statistics of small samples. A benchmark on a shared machine has outliers upwards only, so nothing here is a mean. */

/** Linear interpolation between the two nearest ranks; NaN for an empty sample. `fraction` 0 is the minimum, 1 the maximum. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = fraction * (sorted.length - 1);
  const below = sorted[Math.floor(rank)] ?? Number.NaN;
  const above = sorted[Math.ceil(rank)] ?? Number.NaN;
  return below + (above - below) * (rank - Math.floor(rank));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);
export const minimum = (values: readonly number[]): number => quantile(values, 0);

export interface Spread {
  readonly lowerQuartile: number;
  readonly median: number;
  readonly upperQuartile: number;
}

export const spread = (values: readonly number[]): Spread => ({
  lowerQuartile: quantile(values, 0.25),
  median: median(values),
  upperQuartile: quantile(values, 0.75),
});

/**
 * Differences of two samples taken in the same rounds, by index. Drift of the machine between rounds cancels in each difference, which it does
 * not in the difference of two medians. Throws when the samples have different lengths: then they are not pairs.
 */
export function pairedDifferences(values: readonly number[], base: readonly number[]): number[] {
  if (values.length !== base.length) throw new Error(`not pairs: ${values.length} and ${base.length} values`);
  return values.map((value, index) => value - (base[index] ?? Number.NaN));
}

export interface Interval {
  readonly lower: number;
  readonly upper: number;
}

/**
 * Confidence interval of the median that the values were drawn around: the k-th smallest and the k-th largest value, k as large as the sign test allows. Each
 * value lies below the true median with a chance of 1/2 whatever the distribution, so how many do is binomial; its tail is summed exactly, which costs no more than
 * the usual normal approximation and also holds for few values. The interval covers the median at least as often as `confidence` says, as long as the values are
 * independent and continuous; fewer than 6 values cannot bound it at 95 %, and the interval is then infinite.
 * https://en.wikipedia.org/wiki/Sign_test, Conover, Practical Nonparametric Statistics, chapter 3
 */
export function medianInterval(values: readonly number[], confidence = 0.95): Interval {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = signTestRank(sorted.length, (1 - confidence) / 2);
  return {
    lower: sorted[rank - 1] ?? Number.NEGATIVE_INFINITY,
    upper: rank === 0 ? Number.POSITIVE_INFINITY : (sorted[sorted.length - rank] ?? Number.POSITIVE_INFINITY),
  };
}

/** The largest k for which fewer than k of `count` fair coins fall on heads with a chance of at most `tail`; 0 when there is none. */
function signTestRank(count: number, tail: number): number {
  // In logarithms: 2 ** -count is 0 from 1,075 values on.
  let logChance = -count * Math.LN2;
  let sum = 0;
  let heads = 0;
  for (; heads < count; heads++) {
    sum += Math.exp(logChance);
    if (sum > tail) break;
    logChance += Math.log((count - heads) / (heads + 1));
  }
  return heads;
}

export const contains = ({ lower, upper }: Interval, value: number): boolean => lower <= value && value <= upper;
