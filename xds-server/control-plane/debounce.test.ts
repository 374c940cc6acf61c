import { describe, expect, it } from "vitest";
import { TurnedClock } from "../../test/fixtures/control-plane.ts";
import { Debounce } from "./debounce.ts";

const debounce = (quietMs: number, maxMs: number) => {
  const clock = new TurnedClock();
  const at: number[] = [];
  const each = new Debounce(() => void at.push(clock.now()), { quietMs, maxMs }, clock);
  return { clock, at, each };
};

describe("a debounce", () => {
  it("reacts once things are quiet", () => {
    const { clock, at, each } = debounce(10, 100);
    each.poke();
    clock.pass(9);
    each.poke();
    clock.pass(9);
    expect(at).toEqual([]);
    clock.pass(1);
    expect([at, clock.waiting]).toEqual([[19], 0]);
  });

  it("waits no longer than it may, from the first change of each time", () => {
    const { clock, at, each } = debounce(10, 25);
    for (let i = 0; i < 12; i++) {
      each.poke();
      clock.pass(5);
    }
    expect(at).toEqual([25, 50]);
  });

  it("without a quiet time reacts in the next turn, and begins to wait once", () => {
    const { clock, at, each } = debounce(0, 100);
    let begun = 0;
    const after = clock.after.bind(clock);
    clock.after = (ms, run) => {
      begun++;
      return after(ms, run);
    };
    each.poke();
    each.poke();
    each.poke();
    expect([at, begun]).toEqual([[], 1]);
    clock.pass(0);
    expect(at).toEqual([0]);
  });

  it("can be told to react now, or not at all", () => {
    const { clock, at, each } = debounce(10, 100);
    each.flush();
    each.poke();
    each.flush();
    each.poke();
    each.drop();
    clock.pass(1_000);
    expect(at).toEqual([0]);
  });

  it("what changes during the reaction is another change", () => {
    const clock = new TurnedClock();
    let runs = 0;
    const each: Debounce = new Debounce(
      () => {
        if (++runs === 1) each.poke();
      },
      { quietMs: 10, maxMs: 100 },
      clock,
    );
    each.poke();
    clock.pass(10);
    expect(runs).toBe(1);
    clock.pass(10);
    expect(runs).toBe(2);
  });
});
