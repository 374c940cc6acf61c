import fc from "fast-check";
import { expect, it } from "vitest";
import type { Period, WindowShape } from "../../test/lib/token-window-reference.ts";
import { type BudgetWorker, begin, startBudgets } from "../../test/state/budget-driver.ts";
import { type ReferenceAsking, ReferenceBudget, type ReferenceClaim } from "../../test/state/budget-reference.ts";
import { hashOf } from "../../test/state/eviction.ts";

/**
 * Two workers reserve, extend, settle and grant in each other's way, under clocks that jump: every verdict and every number is that of the reference, in which calls happen one after the other.
 */

const limit = (amount: number, period: Period, more: Partial<WindowShape> = {}): WindowShape => ({
  amount,
  period,
  rolling: false,
  offsetSeconds: 0,
  ...more,
});
const granted = (lease: number) => ({ granted: true, lease });
const budgets = [
  [limit(300, "minute"), limit(500, "minute", { rolling: true }), limit(900, "day")],
  [limit(300, "second"), limit(50, "hour"), limit(2000, "day", { rolling: true }), limit(400, "minute")],
  [limit(300, "minute", granted(60)), limit(900, "day", granted(50))],
  [limit(400, "minute"), limit(300, "minute", granted(80)), limit(700, "month", granted(30)), limit(90, "second")],
];

const units = fc.oneof(
  { weight: 6, arbitrary: fc.nat(60) },
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.nat(600) },
);
const wants = fc.array(units, { minLength: 4, maxLength: 4 });
const call = fc.oneof(
  { weight: 3, arbitrary: fc.record({ reserve: wants, own: fc.option(wants, { freq: 2 }) }) },
  { weight: 4, arbitrary: fc.record({ extend: wants, claim: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ settle: fc.double({ min: 0, max: 1.4, noNaN: true }), claim: fc.nat(1000) }) },
  {
    weight: 3,
    arbitrary: fc.record({ grant: wants, asking: fc.nat(3), answers: fc.boolean(), pause: fc.nat(70_000) }),
  },
);
type Call = typeof call extends fc.Arbitrary<infer T> ? T : never;

const event = fc.record({
  step: fc.oneof(
    { weight: 8, arbitrary: fc.nat(1500) },
    { weight: 3, arbitrary: fc.nat(40_000) },
    { weight: 1, arbitrary: fc.nat(20 * 60_000) },
    { weight: 1, arbitrary: fc.integer({ min: -200_000, max: 0 }) },
    { weight: 1, arbitrary: fc.constantFrom(3 * 864e5, -3 * 864e5, -2 * 36e5) },
  ),
  worker: fc.nat(1),
  call,
  /** Of the other worker, before each write of the call; its clock is read a little later. */
  between: fc.array(fc.record({ call, later: fc.nat(3) }), { maxLength: 2 }),
});

class Worker {
  readonly #open: { index: number; claim: ReferenceClaim }[] = [];
  readonly #asked: { index: number; asking: ReferenceAsking }[] = [];
  #next = 0;
  #copies = 0;
  done = { admitted: 0, refused: 0, extended: 0, stopped: 0, settled: 0, granted: 0, asked: 0 };

  constructor(
    readonly worker: BudgetWorker,
    readonly budget: number,
    readonly shapes: readonly WindowShape[],
    readonly hash: readonly [bigint, bigint],
    readonly reference: ReferenceBudget,
  ) {}

  do(call: Call, now: number): void {
    if ("reserve" in call) this.#reserve(call.reserve, call.own, now);
    else if ("grant" in call) this.#grant(call.grant, call.asking, call.answers, now, now + call.pause - 10_000);
    else {
      const open = this.#open[call.claim % Math.max(1, this.#open.length)];
      if (!open) return;
      if ("extend" in call) this.#extend(open, call.extend, now);
      else this.#settle(open, call.settle, now);
    }
  }

  end(now: number): void {
    for (const { index } of this.#open) this.worker.release(index, now);
    this.worker.hostcalls();
  }

  #check(index: number, outcome: ReturnType<ReferenceBudget["reserve"]>, verdict: string): void {
    const report = this.worker.claim(index);
    const count = this.shapes.length;
    expect(verdict).toBe(outcome.claim ? "admitted" : "refused");
    expect(report.refusedBy).toBe(outcome.refusedBy);
    expect(report.availableAt).toBe(outcome.availableAt);
    expect(report.shortfall.slice(0, count)).toEqual(outcome.shortfall);
    expect(report.ask.slice(0, count)).toEqual(outcome.asking.units);
    if (outcome.claim) {
      expect(report.open).toBe(true);
      expect(report.remaining.slice(0, count)).toEqual(outcome.remaining);
      expect(report.reserved.slice(0, count)).toEqual(outcome.claim.parts.map((parts) => parts.at(-1)?.reserved));
      const closed = outcome.claim.parts.map((parts) => parts.slice(0, -1).reduce((all, one) => all + one.reserved, 0));
      expect(report.closed.slice(0, count)).toEqual(closed);
    }
    // An answer may come when the claim is in use again.
    const copy = 200 + (this.#copies++ % 50);
    this.worker.copy(copy, index);
    this.#asked.unshift({ index: copy, asking: outcome.asking });
    this.#asked.splice(4);
    if (outcome.asking.units.some((units) => units > 0)) this.done.asked++;
  }

  #reserve(any: readonly number[], own: readonly number[] | null, now: number): void {
    const index = this.#next++ % 200;
    const wants = any.slice(0, this.shapes.length);
    const verdict = this.worker.reserve(this.budget, this.hash, wants, now, index, own ?? undefined);
    const amounts = this.shapes.map(({ amount }, i) => own?.[i] || amount);
    const outcome = this.reference.reserve(wants, amounts, now);
    this.#check(index, outcome, verdict);
    if (outcome.claim) this.#open.push({ index, claim: outcome.claim });
    else {
      const { open, remaining, reserved } = this.worker.claim(index);
      expect({ open, reserved }).toEqual({ open: false, reserved: [0, 0, 0, 0] });
      expect(remaining.slice(0, wants.length)).toEqual(outcome.remaining);
    }
    this.done[outcome.claim ? "admitted" : "refused"]++;
  }

  #extend(open: { index: number; claim: ReferenceClaim }, parts: readonly number[], now: number): void {
    const wants = parts.slice(0, this.shapes.length);
    const before = this.worker.claim(open.index);
    const verdict = this.worker.extend(open.index, wants, now);
    if (wants.every((want) => want === 0)) {
      expect(verdict).toBe("admitted");
      return;
    }
    const outcome = this.reference.extend(open.claim, wants, now);
    this.#check(open.index, outcome, verdict);
    const { refusedBy, availableAt, shortfall, ask, ...same } = before;
    if (outcome.claim) open.claim = outcome.claim;
    else expect(this.worker.claim(open.index)).toMatchObject(same);
    this.done[outcome.claim ? "extended" : "stopped"]++;
  }

  #settle(open: { index: number; claim: ReferenceClaim }, use: number, now: number): void {
    this.#open.splice(this.#open.indexOf(open), 1);
    const totals = open.claim.parts.map((parts) =>
      Math.round(parts.reduce((all, { reserved }) => all + reserved, 0) * use),
    );
    this.worker.settle(open.index, totals, now);
    this.reference.settle(open.claim, totals, now);
    this.done.settled++;
  }

  #grant(units: readonly number[], which: number, answers: boolean, now: number, notBefore: number): void {
    const asked = this.#asked[which % Math.max(1, this.#asked.length)];
    if (!asked) return;
    expect(this.worker.grant(asked.index, units, now, answers, notBefore)).toBe(true);
    this.reference.grant(asked.asking, units, now, answers, notBefore);
    // An asking is answered once.
    if (answers) asked.asking.until.fill(0);
    this.done.granted++;
  }
}

it("answers as the reference", { timeout: 60_000 }, async () => {
  const { host, workers } = await startBudgets([limit(1, "day", { rolling: true })], { workers: 2 });
  const largest = limit(1, "day", { rolling: true });
  const numbers = budgets.map((shapes) => workers.map((worker) => worker.budget(shapes))[0] as number);
  for (const worker of workers) worker.open(65_536, worker.budgetSize(worker.budget([largest, largest, largest])));
  const done: Worker["done"][] = [];
  let salt = 0;
  let races = 0;
  fc.assert(
    fc.property(fc.nat(budgets.length - 1), fc.array(event, { minLength: 1, maxLength: 50 }), (which, events) => {
      const shapes = budgets[which] as WindowShape[];
      const reference = new ReferenceBudget(shapes);
      const hash = hashOf(salt++);
      const both = workers.map((worker) => new Worker(worker, numbers[which] as number, shapes, hash, reference));
      let now = begin;
      for (const e of events) {
        now = Math.max(now + e.step, 2 * 864e5);
        let rounds = 0;
        host.sharedData.interleave = ({ operation, thread }) => {
          if (operation !== "set" || thread !== e.worker + 1 || rounds++ >= 3) return;
          for (const { call, later } of e.between) both[1 - e.worker]?.do(call, now + later);
          if (e.between.length > 0) races++;
        };
        both[e.worker]?.do(e.call, now);
        host.sharedData.interleave = undefined;
      }
      for (const worker of both) {
        done.push(worker.done);
        worker.end(now);
      }
    }),
    { numRuns: 400 },
  );
  for (const what of Object.keys(done[0] as Worker["done"]) as (keyof Worker["done"])[]) {
    expect(done.reduce((sum, one) => sum + one[what], 0)).toBeGreaterThan(300);
  }
  expect(races).toBeGreaterThan(1000);
  const clean = { contention: 0, unavailable: 0, evictedLive: 0, pendingSettles: 0, settlesLost: 0, grantsLost: 0 };
  for (const worker of workers) expect(worker.counters()).toMatchObject(clean);
});
