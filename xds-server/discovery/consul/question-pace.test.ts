import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { QuestionPace } from "./question-pace.ts";

describe("pace of questions", () => {
  it("lets a burst through, then one per so much time", () => {
    const pace = new QuestionPace(3, 100, 0);
    expect([0, 0, 0, 0].map((now) => pace.next(now))).toEqual([0, 0, 0, 100]);
    expect(pace.next(100)).toBe(100);
    expect(pace.next(1_000)).toBe(0);
  });

  it("never lets more through in any time than the burst and what was earned in it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 500 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 100 }),
        (burst, perTokenMs, pauses) => {
          const pace = new QuestionPace(burst, perTokenMs, 0);
          const asked: number[] = [];
          let now = 0;
          for (const pause of pauses) {
            now += pause;
            now += pace.next(now);
            asked.push(now);
          }
          for (const [from, first] of asked.entries())
            for (const [to, last] of asked.entries())
              if (to >= from) expect(to - from + 1).toBeLessThanOrEqual(burst + (last - first) / perTokenMs + 1e-6);
        },
      ),
    );
  });
});
