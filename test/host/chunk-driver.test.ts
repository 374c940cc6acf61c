import { describe, expect, test } from "vitest";
import { expectSameForEverySplit, splits } from "./chunk-driver.ts";

describe("chunk driver", () => {
  test("every split is the same body", () => {
    const body = "0123456789abcdef";
    const all = [...splits(body)];
    expect(all.map(({ name }) => name)).toContain("cut at 15");
    expect(all).toHaveLength(1 + 3 + 15 + 20);
    for (const { chunks } of all) {
      expect(Buffer.concat(chunks).toString()).toBe(body);
      expect(chunks.every(({ length }) => length > 0)).toBe(true);
    }
  });

  test("an outcome that depends on the cut is found and named", () => {
    expect(() => expectSameForEverySplit("ab", (chunks) => chunks.length)).toThrow(
      /split "pieces of 1" \(seed 1\) gives\n {2}2/,
    );
    expect(expectSameForEverySplit("ab", (chunks) => Buffer.concat(chunks).toString())).toBe(25);
  });
});
