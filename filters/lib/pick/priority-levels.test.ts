import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wasm } from "../../../test/lib/pick-driver.ts";
import { type Level, priorityLoads } from "../../../test/lib/priority-loads.ts";

/** Loads of all levels, counted over draws of every remainder. The module spreads draws over hundredths by their remainder. */
function counted(levels: readonly Level[]): { healthy: number[]; degraded: number[]; nobody: number } {
  wasm.levelsBegin();
  for (const [priority, { all, healthy, degraded }] of levels.entries()) {
    for (let at = 0; at < all; at++) {
      wasm.levelsAdd(priority, at < healthy + degraded, at >= healthy);
    }
  }
  const found = { healthy: levels.map(() => 0), degraded: levels.map(() => 0), nobody: 0 };
  for (let draw = 0; draw < 100; draw++) {
    const chosen = wasm.levelsChoose(BigInt(draw) + 1_000_000n);
    if (chosen < 0) found.nobody++;
    else {
      const side = chosen % 2 === 1 ? found.degraded : found.healthy;
      side[chosen >> 1] = (side[chosen >> 1] ?? 0) + 1;
    }
  }
  return found;
}

const percent = (...healthy: readonly number[]): Level[] =>
  healthy.map((each) => ({ all: 100, healthy: each, degraded: 0 }));

describe("loads of priorities", () => {
  // The tables of Envoy's documentation.
  it.each([
    [
      [100, 100],
      [100, 0],
    ],
    [
      [72, 100],
      [100, 0],
    ],
    [
      [71, 100],
      [99, 1],
    ],
    [
      [50, 100],
      [70, 30],
    ],
    [
      [25, 100],
      [35, 65],
    ],
    [
      [0, 100],
      [0, 100],
    ],
    [
      [25, 25, 100],
      [35, 35, 30],
    ],
    [
      [25, 0, 100],
      [35, 0, 65],
    ],
    [
      [20, 20, 10],
      [40, 40, 20],
    ],
  ])("with %j percent healthy are %j", (healthy, loads) => {
    expect(counted(percent(...healthy)).healthy).toEqual(loads);
  });

  it("go to degraded endpoints when the healthy ones of all priorities are too few", () => {
    const levels = [
      { all: 100, healthy: 25, degraded: 75 },
      { all: 100, healthy: 25, degraded: 25 },
    ];
    expect(counted(levels)).toEqual({ healthy: [35, 35], degraded: [30, 0], nobody: 0 });
  });

  it("are nobody's where nobody works", () => {
    expect(counted([])).toMatchObject({ nobody: 100 });
    expect(counted(percent(0, 0))).toMatchObject({ nobody: 100 });
  });

  const level = fc
    .tuple(fc.nat(9), fc.nat(9), fc.nat(9))
    .map(([healthy, degraded, broken]): Level => ({ all: healthy + degraded + broken, healthy, degraded }));

  it("are Envoy's, whatever the endpoints", () => {
    fc.assert(
      fc.property(fc.array(level, { minLength: 1, maxLength: 5 }), (levels) => {
        const { healthy, degraded, nobody } = counted(levels);
        const expected = priorityLoads(levels);
        expect({ healthy, degraded }).toEqual(expected);
        expect(nobody).toBe(levels.some((each) => each.healthy + each.degraded > 0) ? 0 : 100);
      }),
      { numRuns: 300 },
    );
  });
});
