import { describe, expect, it } from "vitest";
import { median, minimum, pairedDifferences, quantile, spread } from "./statistics.ts";

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
