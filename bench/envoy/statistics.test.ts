import { describe, expect, it } from "vitest";
import { randomNumbers } from "./chat.ts";
import { contains, median, medianInterval, minimum, pairedDifferences, quantile, spread } from "./statistics.ts";

describe("order statistics", () => {
  it("takes the middle, or halfway between the two middles, without sorting the caller's list", () => {
    const values = [9, 1, 5];
    expect(median(values)).toBe(5);
    expect(values).toEqual([9, 1, 5]);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  it("sorts by number, not by text", () => {
    expect(minimum([100, 9])).toBe(9);
    expect(median([100, 9, 20])).toBe(20);
  });

  it("interpolates quartiles", () => {
    expect(quantile([0, 10], 0.25)).toBe(2.5);
    expect(spread([1, 2, 3, 4, 5])).toEqual({ lowerQuartile: 2, median: 3, upperQuartile: 4 });
  });

  it("has no figure for nothing", () => {
    expect(median([])).toBeNaN();
  });
});

describe("paired differences", () => {
  it("cancels a drift that both samples share", () => {
    expect(pairedDifferences([15, 115, 1_015], [10, 110, 1_010])).toEqual([5, 5, 5]);
  });

  it("refuses samples that are no pairs", () => {
    expect(() => pairedDifferences([1, 2], [1])).toThrow("not pairs: 2 and 1 values");
  });
});

describe("confidence interval of the median", () => {
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => count - index);

  // From the sums of binomial coefficients. For 10 values: (1 + 10) / 1,024 is less than 0.025, (1 + 10 + 45) / 1,024 is more.
  it.each([
    [6, 1, 6],
    [8, 1, 8],
    [9, 2, 8],
    [10, 2, 9],
    [15, 4, 12],
    [20, 6, 15],
    [25, 8, 18],
    [100, 40, 61],
  ])("of %i values reaches from the %i. to the %i.", (count, lower, upper) => {
    expect(medianInterval(upTo(count))).toEqual({ lower, upper });
  });

  it("follows the normal approximation where there are many values", () => {
    const { lower, upper } = medianInterval(upTo(2_000));
    expect(Math.abs(lower - (1_000 - 0.98 * Math.sqrt(2_000)))).toBeLessThan(1.5);
    expect(lower + upper).toBe(2_001);
  });

  it("does not bound what too few values cannot bound", () => {
    const open = { lower: Number.NEGATIVE_INFINITY, upper: Number.POSITIVE_INFINITY };
    expect(medianInterval([])).toEqual(open);
    expect(medianInterval(upTo(5))).toEqual(open);
    expect(medianInterval(upTo(5), 0.9)).toEqual({ lower: 1, upper: 5 });
  });

  it("is wider for more confidence", () => {
    expect(medianInterval(upTo(100), 0.99)).toEqual({ lower: 37, upper: 64 });
  });

  it("contains its ends", () => {
    const interval = { lower: 1, upper: 3 };
    expect([0.9, 1, 2, 3, 3.1].map((value) => contains(interval, value))).toEqual([false, true, true, true, false]);
  });

  it("covers the median of a skewed distribution as often as the binomial distribution says", () => {
    const random = randomNumbers(11);
    // Exponential: median ln 2. The ranks are 19 and 33 of 51, which cover it with a chance of 0.9511.
    const exponential = (): number => -Math.log(1 - random());
    const trials = 4_000;
    let covered = 0;
    for (let trial = 0; trial < trials; trial++) {
      if (contains(medianInterval(Array.from({ length: 51 }, exponential)), Math.LN2)) covered++;
    }
    // Three standard deviations of the count.
    expect(Math.abs(covered / trials - 0.9511)).toBeLessThan(0.0103);
  });
});
