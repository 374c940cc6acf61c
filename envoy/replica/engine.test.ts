import { expect, test } from "vitest";
import { type Clock, ReplicaEngine } from "./engine.ts";
import { TIMING_PROFILES } from "./timing.ts";

/** Virtual time; `lateMs` makes every timer fire that much too late, as real ones do. */
function virtualClock(lateMs = 0): Clock & { run(): void } {
  let now = 0;
  const timers: { at: number; action: () => void }[] = [];
  return {
    now: () => now,
    after: (delayMs, action) => {
      const timer = { at: now + delayMs + (delayMs > 0 ? lateMs : 0), action };
      timers.push(timer);
      return () => timers.splice(timers.indexOf(timer) >>> 0, 1);
    },
    run: () => {
      for (;;) {
        timers.sort((a, b) => a.at - b.at);
        const timer = timers.shift();
        if (timer === undefined) return;
        now = Math.max(now, timer.at);
        timer.action();
      }
    },
  };
}

const slow = { ...TIMING_PROFILES.instant, iterationMs: 10 };

test("tokens arrive at the instants of the model", () => {
  const clock = virtualClock();
  const engine = new ReplicaEngine(slow, clock);
  const times: number[] = [];
  engine.submit({ id: 1, promptTokens: 1, outputTokens: 3, blocks: [] }, () => times.push(clock.now()));
  clock.run();
  expect(times).toEqual([10, 20, 30]);
});

test("late timers delay a token, but the delay does not add up", () => {
  const clock = virtualClock(4);
  const engine = new ReplicaEngine(slow, clock);
  const times: number[] = [];
  engine.submit({ id: 1, promptTokens: 1, outputTokens: 100, blocks: [] }, () => times.push(clock.now()));
  clock.run();
  expect(times.at(-1)).toBe(1004);
});

test("an idle engine starts again, from the present", () => {
  const clock = virtualClock();
  const engine = new ReplicaEngine(slow, clock);
  const times: number[] = [];
  engine.submit({ id: 1, promptTokens: 1, outputTokens: 1, blocks: [] }, () => times.push(clock.now()));
  clock.run();
  clock.after(1000, () => {
    engine.submit({ id: 2, promptTokens: 1, outputTokens: 1, blocks: [] }, () => times.push(clock.now()));
  });
  clock.run();
  expect(times).toEqual([10, 1020]);
});

test("no token after cancel, none after stop", () => {
  const clock = virtualClock();
  const engine = new ReplicaEngine(slow, clock);
  const seen: string[] = [];
  engine.submit({ id: 1, promptTokens: 1, outputTokens: 9, blocks: [] }, ({ index }) => {
    seen.push(`1.${index}`);
    if (index === 1) engine.cancel(1);
  });
  engine.submit({ id: 2, promptTokens: 1, outputTokens: 9, blocks: [] }, ({ index }) => {
    seen.push(`2.${index}`);
    if (index === 3) engine.stop();
  });
  clock.run();
  expect(seen).toEqual(["1.0", "2.0", "1.1", "2.1", "2.2", "2.3"]);
});
