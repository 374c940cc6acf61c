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
