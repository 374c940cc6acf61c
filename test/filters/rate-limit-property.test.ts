import fc from "fast-check";
import { expect, it } from "vitest";
import { rules, step, WORKERS } from "./rate-limit-arbitraries.ts";
import { LimitHost } from "./rate-limit-driver.ts";
import { type LimitSpec, lengthOfPeriod, windowOf } from "./rate-limit-meter.ts";
import { Pair, written } from "./rate-limit-pair.ts";
import { LimiterReference, type LogEntry } from "./rate-limit-reference.ts";

/**
 * The limiter against a reference that keeps everything in lists: any rules, any calls on any worker, any end, a clock that jumps, configurations that change, and a call of another
 * worker between two accesses to what they share. Every answer is compared; and whatever happened, no window may hold more than is promised.
 */

/** Most that was admitted in any window, over what is promised; at most 0. */
function excess(log: readonly LogEntry[]): number {
  let worst = Number.NEGATIVE_INFINITY;
  for (const last of log) {
    const { limit } = last;
    const within = log.filter(({ meter, at }) => {
      if (meter !== last.meter) return false;
      if (limit.rolling !== true) return windowOf(limit, at) === windowOf(limit, last.at);
      return at > last.at - lengthOfPeriod(limit) && at <= last.at;
    });
    const amount = Math.max(...within.map((entry) => entry.limit.amount));
    const over = within.map(({ used, reserved, at, settledAt }) =>
      Math.max(0, used - (leaseEnded(limit, at, settledAt) ? 0 : reserved)),
    );
    const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
    worst = Math.max(worst, sum(within.map(({ used }) => used)) - amount - sum(over));
  }
  return worst;
}

/** A request that ran for longer than the reservations of long windows last: it held nothing in the end. */
function leaseEnded({ per }: LimitSpec, from: number, to: number): boolean {
  return (per === "day" || per === "month") && Math.floor(to / 900_000) - Math.floor(from / 900_000) > 1;
}

it("decides, tells and counts as the reference does, and keeps its promise", async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(rules, fc.array(step, { minLength: 20, maxLength: 60 }), async (list, steps) => {
      const named = list.map((rule, i) => ({ ...rule, name: `r${i}` }));
      const filter = await LimitHost.start({ rules: named.map(written) }, { workers: WORKERS });
      const reference = new LimiterReference(named);
      const pair = new Pair(filter, reference);
      for (const one of steps) {
        if ("act" in one) pair.act(one.worker, one.act, one.between);
        else if ("forward" in one) pair.wall += one.forward;
        else if ("back" in one) pair.back(one.back);
        else {
          let next = 0;
          reference.rules = named.map((rule) => ({
            ...rule,
            limits: rule.limits.map((spec) => ({
              ...spec,
              amount: Math.ceil(spec.amount * (one.amounts[next++] ?? 1)),
            })),
          }));
          expect(filter.plugin.update({ rules: reference.rules.map(written) })).toEqual({ accepted: true });
        }
      }
      pair.endAll();
      expect(excess(reference.log)).toBeLessThanOrEqual(0);
      expect(filter.trapped).toBe(false);
      expect(filter.counters("store")).toEqual({});
      for (const [kind, count] of pair.outcomes) seen.set(kind, (seen.get(kind) ?? 0) + count);
    }),
    { numRuns: 250 },
  );
  for (const kind of ["ok", "429 rate_limit_exceeded", "401 key_required", "between"]) {
    expect(seen.get(kind)).toBeGreaterThan(100);
  }
}, 60_000);
