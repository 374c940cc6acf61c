import { describe, expect, it } from "vitest";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { MAX_FAILURES, MAX_PAUSE_MS, MIN_PAUSE_MS } from "./limits.ts";

function start() {
  const clock = { now: 0 };
  const breaker = new CircuitBreaker(() => clock.now);
  const fail = (times: number) => {
    for (let n = 0; n < times; n++) {
      breaker.begin();
      breaker.failed();
    }
  };
  return { clock, breaker, fail };
}

describe("a circuit breaker", () => {
  it("opens after so many failures in a row, and not before", () => {
    const { breaker, fail } = start();
    fail(MAX_FAILURES - 1);
    breaker.succeeded();
    fail(MAX_FAILURES - 1);
    expect([breaker.open, breaker.healthy]).toEqual([false, true]);
    fail(1);
    expect([breaker.open, breaker.healthy]).toEqual([true, false]);
  });

  it("lets one call through after a pause, which doubles up to a limit, until one succeeds", () => {
    const { clock, breaker, fail } = start();
    fail(MAX_FAILURES);
    for (let pause = MIN_PAUSE_MS; pause < 4 * MAX_PAUSE_MS; pause *= 2) {
      clock.now += Math.min(pause, MAX_PAUSE_MS) - 1;
      expect(breaker.open).toBe(true);
      clock.now += 1;
      expect(breaker.open).toBe(false);
      breaker.begin();
      expect(breaker.open).toBe(true);
      breaker.failed();
    }
    clock.now += MAX_PAUSE_MS;
    breaker.begin();
    breaker.succeeded();
    expect([breaker.open, breaker.healthy]).toEqual([false, true]);
    fail(MAX_FAILURES);
    clock.now += MIN_PAUSE_MS;
    expect(breaker.open).toBe(false);
  });

  it("does not wait longer for calls that were under way when it opened", () => {
    const { clock, breaker, fail } = start();
    fail(MAX_FAILURES);
    for (let n = 0; n < 10; n++) breaker.failed();
    clock.now = MIN_PAUSE_MS;
    expect(breaker.open).toBe(false);
  });
});
