import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Backoff } from "./backoff.ts";
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, BACKOFF_FLOOR_MS } from "./limits.ts";

describe("waiting after failures", () => {
  it("doubles up to the cap and begins anew after a success", () => {
    const backoff = new Backoff(() => 1);
    expect(Array.from({ length: 9 }, () => backoff.next())).toEqual([
      500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ]);
    expect(backoff.failures).toBe(9);
    backoff.reset();
    expect(backoff.failures).toBe(0);
    expect(backoff.next()).toBe(BACKOFF_BASE_MS);
  });

  it("is anything between the floor and the ceiling, also after thousands of failures", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 2_000 }),
        (randoms) => {
          let index = 0;
          const backoff = new Backoff(() => randoms[index % randoms.length] ?? 0);
          for (; index < 2_000; index++) {
            const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** index);
            const expected = Math.max(BACKOFF_FLOOR_MS, (randoms[index % randoms.length] ?? 0) * ceiling);
            expect(backoff.next()).toBe(expected);
          }
        },
      ),
      { numRuns: 20 },
    );
  });
});
