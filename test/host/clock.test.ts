import { describe, expect, test } from "vitest";
import { seededRandom, VirtualClock } from "./clock.ts";

describe("virtual clock", () => {
  test("timers fire in order of their time, each seeing its own moment, also those set on the way", () => {
    const clock = new VirtualClock(1000);
    const fired: string[] = [];
    const note = (name: string) => (): void => void fired.push(`${name}@${clock.elapsedMs}`);
    clock.after(20, note("b"));
    clock.after(10, () => {
      note("a")();
      clock.after(5, note("a2"));
    });
    const cancel = clock.after(15, note("never"));
    cancel();
    clock.after(31, note("later"));
    clock.advance(30);
    expect(fired).toEqual(["a@10", "a2@15", "b@20"]);
    expect(clock.elapsedMs).toBe(30);
    expect(clock.realtimeNs).toBe(1_030_000_000n);
    expect(clock.monotonicNs).toBe(30_000_000n);
  });

  test("the same seed gives the same numbers, another one others", () => {
    const take = (seed: number): number[] => Array.from({ length: 5 }, seededRandom(seed));
    expect(take(7)).toEqual(take(7));
    expect(take(7)).not.toEqual(take(8));
    expect(take(7).every((value) => value >= 0 && value < 1)).toBe(true);
  });
});
