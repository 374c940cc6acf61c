import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { discovered } from "../../test/fixtures/discovery/endpoints.ts";
import { sameEndpoints } from "./endpoint.ts";
import { DiscoveryError } from "./errors.ts";
import { DEBOUNCE_MAX_MS, DRAIN_LEAST_MS, MAX_DRAINING, REMEMBERED_AFTER_MS } from "./limits.ts";
import { ServiceState } from "./service-state.ts";
import type { DiscoveredEndpoint } from "./source.ts";

const QUIET = 100;
const DRAIN = 10_000;
const down = new DiscoveryError("TM_DISCOVERY_UNREACHABLE", "connection refused");
const never = () => false;

const state = (timing = { quiet: QUIET, drain: DRAIN }) => new ServiceState(timing, 0);

/** `index` for what gets traffic, `index-` for what drains. */
function shown({ current }: ServiceState): readonly string[] | undefined {
  return current?.map(({ address, health }) => `${address.split(".")[3]}${health === "draining" ? "-" : ""}`);
}

describe("a service of a source", () => {
  it("passes the first answer on at once, and later ones when they have been quiet", () => {
    const service = state();
    expect(service.condition).toBe("waiting");
    expect(service.current).toBeUndefined();
    service.answer([discovered(1)], 0);
    expect(service.advance(0, never)).toBe(true);
    expect(shown(service)).toEqual(["1"]);
    expect(service.condition).toBe("current");

    service.answer([discovered(1), discovered(2)], 1_000);
    expect(service.advance(1_000, never)).toBe(false);
    expect(service.nextDeadline()).toBe(1_100);
    expect(service.advance(1_099, never)).toBe(false);
    expect(service.advance(1_100, never)).toBe(true);
    expect(shown(service)).toEqual(["1", "2"]);
    expect(service.nextDeadline()).toBeUndefined();
  });

  it("lets a change wait until changes stop coming, but not longer than the bound", () => {
    const service = state();
    service.answer([discovered(1)], 0);
    service.advance(0, never);
    let now = 10_000;
    const first = now;
    let applied = 0;
    for (let i = 2; applied === 0; i++, now += QUIET / 2) {
      service.answer([discovered(1), discovered(i)], now);
      if (service.advance(now, never)) applied = now;
    }
    expect(applied - first).toBeGreaterThanOrEqual(DEBOUNCE_MAX_MS);
    expect(applied - first).toBeLessThanOrEqual(DEBOUNCE_MAX_MS + QUIET / 2);
  });

  it("does not wait anew when the same change is said again", () => {
    const service = state();
    service.answer([discovered(1)], 0);
    service.advance(0, never);
    service.answer([discovered(2)], 1_000);
    service.answer([discovered(2)], 1_090);
    expect(service.nextDeadline()).toBe(1_100);
  });

  it("passes nothing on when the source takes a change back in time, and nothing when it repeats itself", () => {
    const service = state();
    service.answer([discovered(1)], 0);
    service.advance(0, never);
    const before = service.current;
    service.answer([], 1_000);
    service.answer([discovered(1)], 1_050);
    expect(service.nextDeadline()).toBeUndefined();
    expect(service.advance(5_000, never)).toBe(false);
    expect(service.current).toBe(before);
  });

  it("keeps endpoints that have left as draining, for as long as is said", () => {
    const service = state();
    service.answer([discovered(1), discovered(2)], 0);
    service.advance(0, never);
    service.answer([discovered(2)], 1_000);
    service.advance(1_100, never);
    expect(shown(service)).toEqual(["1-", "2"]);
    expect(service.drains).toBe(true);
    expect(service.nextDeadline()).toBe(1_100 + DRAIN);
    expect(service.advance(1_099 + DRAIN, never)).toBe(false);
    expect(service.advance(1_100 + DRAIN, never)).toBe(true);
    expect(shown(service)).toEqual(["2"]);
    expect(service.drains).toBe(false);
  });

  it("ends draining early when the endpoint is idle, but not before load reports can know", () => {
    const service = state();
    service.answer([discovered(1), discovered(2)], 0);
    service.advance(0, never);
    service.answer([], 1_000);
    service.advance(1_100, never);
    const firstIsIdle = ({ address }: DiscoveredEndpoint) => address === "10.0.0.1";
    expect(service.advance(1_099 + DRAIN_LEAST_MS, firstIsIdle)).toBe(false);
    expect(service.advance(1_100 + DRAIN_LEAST_MS, firstIsIdle)).toBe(true);
    expect(shown(service)).toEqual(["2-"]);
  });

  it("ends draining at once when the endpoint comes back, and begins anew when it leaves again", () => {
    const service = state();
    service.answer([discovered(1)], 0);
    service.advance(0, never);
    service.answer([], 1_000);
    service.advance(1_100, never);
    service.answer([discovered(1)], 5_000);
    service.advance(5_100, never);
    expect(shown(service)).toEqual(["1"]);
    service.answer([], 9_000);
    service.advance(9_100, never);
    expect(service.nextDeadline()).toBe(9_100 + DRAIN);
  });

  it("drops endpoints at once without a time to drain, also when it is set while they drain", () => {
    const service = state({ quiet: 0, drain: 0 });
    service.answer([discovered(1)], 0);
    service.advance(0, never);
    service.answer([], 0);
    expect(service.advance(0, never)).toBe(true);
    expect(service.current).toEqual([]);

    const other = state();
    other.answer([discovered(1)], 0);
    other.advance(0, never);
    other.answer([], 0);
    other.advance(QUIET, never);
    other.retime({ quiet: QUIET, drain: 0 });
    expect(other.advance(QUIET + 1, never)).toBe(true);
    expect(other.current).toEqual([]);
  });

  it("drains a bounded number of endpoints, whatever a source that changes all of them at each answer says", () => {
    const service = state({ quiet: 0, drain: DRAIN });
    for (let round = 0; round < 3; round++) {
      const all = Array.from({ length: MAX_DRAINING }, (_, i) =>
        discovered(1, { port: 1 + i, address: `10.0.0.${round}` }),
      );
      service.answer(all, round);
      service.advance(round, never);
    }
    expect(service.current?.filter(({ health }) => health === "draining")).toHaveLength(MAX_DRAINING);
    expect(service.current).toHaveLength(2 * MAX_DRAINING);
  });

  it("keeps everything while the source is down, and says since when", () => {
    const service = state();
    service.answer([discovered(1)], 0);
    service.advance(0, never);
    service.failed(down, 5_000);
    service.failed(down, 8_000);
    expect(service.advance(86_400_000, never)).toBe(false);
    expect(shown(service)).toEqual(["1"]);
    expect(service.condition).toBe("failing");
    expect(service.error).toBe(down);
    expect(service.age(65_000)).toBe(60_000);
    service.answer([discovered(1)], 70_000);
    expect(service.condition).toBe("current");
    expect(service.error).toBeUndefined();
    expect(service.age(100_000)).toBe(0);
  });

  it("passes a change on although the source goes down right after it", () => {
    const service = state();
    service.answer([discovered(1)], 0);
    service.advance(0, never);
    service.answer([discovered(2)], 1_000);
    service.failed(down, 1_010);
    service.advance(1_100, never);
    expect(shown(service)).toEqual(["1-", "2"]);
  });

  it("uses what a former run knew when the source is down or slow, and the source's answer otherwise", () => {
    const slow = state();
    slow.remember([discovered(7)], -3_000);
    expect(slow.advance(0, never)).toBe(false);
    expect(slow.nextDeadline()).toBe(REMEMBERED_AFTER_MS);
    expect(slow.advance(REMEMBERED_AFTER_MS, never)).toBe(true);
    expect(shown(slow)).toEqual(["7"]);
    expect(slow.condition).toBe("remembered");
    expect(slow.answered).toBeUndefined();
    expect(slow.age(7_000)).toBe(10_000);

    const failing = state();
    failing.remember([discovered(7)], -3_000);
    failing.failed(down, 10);
    expect(failing.advance(10, never)).toBe(true);
    expect(failing.condition).toBe("remembered");
    expect(failing.age(10)).toBe(3_010);

    const quick = state();
    quick.remember([discovered(7)], -3_000);
    quick.answer([discovered(1)], 20);
    quick.advance(20, never);
    expect(quick.advance(REMEMBERED_AFTER_MS * 2, never)).toBe(false);
    expect(shown(quick)).toEqual(["1"]);

    const late = state();
    late.answer([discovered(1)], 0);
    late.remember([discovered(7)], -3_000);
    late.advance(5_000, never);
    expect(shown(late)).toEqual(["1"]);
  });

  it("believes the source's first answer at once after what was remembered, and drains the difference", () => {
    const service = state();
    service.remember([discovered(1), discovered(7)], -3_000);
    service.failed(down, 0);
    service.advance(0, never);
    service.answer([discovered(1)], 500);
    expect(service.advance(500, never)).toBe(true);
    expect(shown(service)).toEqual(["1", "7-"]);
    expect(service.condition).toBe("current");
    expect(service.age(600)).toBe(0);
  });

  it("whatever comes: what is passed on is the last answer, and beside it only what was in an answer less than `drain` ago", () => {
    const action = fc.oneof(
      fc.record({ answer: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 6 }) }),
      fc.record({ fail: fc.constant(true) }),
      fc.record({ wait: fc.integer({ min: 1, max: 4_000 }) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const service = state();
        let now = 0;
        let said: readonly number[] | undefined;
        let saidAt = 0;
        const lastSeen = new Map<number, number>();
        const settle = () => {
          const changedBefore = service.current;
          const changed = service.advance(now, never);
          expect(changed).toBe(service.current !== changedBefore);
          if (changed && changedBefore && service.current)
            expect(sameEndpoints(changedBefore, service.current)).toBe(false);
        };
        for (const each of actions) {
          if ("answer" in each) {
            said = [...each.answer].sort();
            saidAt = now;
            service.answer(
              said.map((index) => discovered(index)),
              now,
            );
            settle();
          } else if ("fail" in each) {
            service.failed(down, now);
            settle();
          } else {
            // Timers run when they are due, as the manager's do.
            const end = now + each.wait;
            for (let due = service.nextDeadline(); due !== undefined && due <= end; due = service.nextDeadline()) {
              expect(due).toBeGreaterThan(now - 1);
              now = Math.max(now, due);
              settle();
            }
            now = end;
            settle();
          }
          for (const name of shown(service) ?? []) if (!name.endsWith("-")) lastSeen.set(Number(name), now);
          for (const name of shown(service) ?? []) {
            if (name.endsWith("-"))
              expect(now - (lastSeen.get(Number(name.slice(0, -1))) ?? -Infinity)).toBeLessThanOrEqual(DRAIN + 4_000);
          }
          if (said !== undefined && now - saidAt >= DEBOUNCE_MAX_MS)
            expect(shown(service)?.filter((name) => !name.endsWith("-"))).toEqual(said.map(String));
        }
        now += DEBOUNCE_MAX_MS;
        settle();
        now += DRAIN;
        settle();
        expect(shown(service)).toEqual(said?.map(String));
        expect(service.nextDeadline()).toBeUndefined();
      }),
    );
  });
});
