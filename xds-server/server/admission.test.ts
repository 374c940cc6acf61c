import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Admission } from "./admission.ts";

function admissionOf(options: { perSecond?: number; burst?: number; waitMs?: number } = {}) {
  let now = 1_000;
  const { perSecond = 100, burst = 10, waitMs = 1_000 } = options;
  const admission = new Admission({ perSecond, burst, waitMs, clock: () => now });
  return {
    ask: () => admission.ask(),
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe("admission", () => {
  it("lets a burst in at once, the next in turn, and refuses what would wait too long", () => {
    const { ask } = admissionOf();
    const waits = Array.from({ length: 200 }, ask);
    expect(waits.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 0));
    expect(waits.slice(10, 13)).toEqual([10, 20, 30]);
    expect(waits.filter((wait) => wait !== undefined)).toHaveLength(10 + 100);
    expect(waits.at(-1)).toBeUndefined();
  });

  it("fills up with time, to the burst and not beyond", () => {
    const { ask, pass } = admissionOf();
    for (let i = 0; i < 110; i++) ask();
    pass(50);
    expect([ask(), ask(), ask(), ask(), ask(), ask()].map((wait) => wait !== undefined)).toEqual([
      ...[true, true, true, true, true],
      false,
    ]);
    pass(60_000);
    expect(Array.from({ length: 11 }, ask).map((wait) => wait === 0)).toEqual([
      ...Array.from({ length: 10 }, () => true),
      false,
    ]);
  });

  it("property: nobody waits longer than he may, and in a second no more begin than the rate and the burst allow", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 300 }), (gaps) => {
        const { ask, pass } = admissionOf({ perSecond: 20, burst: 5, waitMs: 500 });
        const begins: number[] = [];
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          pass(gap);
          const wait = ask();
          if (wait === undefined) continue;
          expect(wait).toBeLessThanOrEqual(500);
          begins.push(now + wait);
        }
        for (const begin of begins) {
          const within = begins.filter((each) => each >= begin && each < begin + 1_000).length;
          expect(within).toBeLessThanOrEqual(20 + 5 + 1);
        }
      }),
    );
  });
});
