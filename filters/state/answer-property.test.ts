import fc from "fast-check";
import { expect, it } from "vitest";
import type { ProxyWasmHost } from "../../test/host/index.ts";
import {
  type Answer,
  type AnswerWorker,
  answer,
  answerKeys,
  begin,
  type PurgeKind,
  startAnswers,
} from "../../test/state/answer-driver.ts";
import { ReferenceAnswers } from "../../test/state/answer-reference.ts";
import type { Hash } from "../../test/state/budget-driver.ts";
import { hashOf } from "../../test/state/eviction.ts";

/**
 * Workers store, look, remove and purge in each other's way, in a slab that is too small, under clocks that jump, while VMs are made anew. Nothing is ever found that is expired, purged, foreign,
 * torn or replaced, and the memory stays bounded.
 */

const pick = fc.oneof({ weight: 3, arbitrary: fc.nat(5) }, { weight: 4, arbitrary: fc.nat(39) });
const span = fc.oneof(
  { weight: 2, arbitrary: fc.nat(3000) },
  { weight: 4, arbitrary: fc.integer({ min: 3000, max: 300_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 50 * 864e5, 70 * 864e5) },
);
const store = fc.record({
  store: pick,
  bytes: fc.oneof(
    { weight: 5, arbitrary: fc.nat(300) },
    { weight: 2, arbitrary: fc.integer({ min: 8000, max: 16_000 }) },
  ),
  age: fc.oneof(
    { weight: 5, arbitrary: fc.nat(500) },
    { weight: 1, arbitrary: fc.integer({ min: -70_000, max: 9000 }) },
  ),
  life: span,
  stale: fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: span }),
  who: fc.nat(2),
});
const call = fc.oneof(
  { weight: 8, arbitrary: store },
  { weight: 8, arbitrary: fc.record({ find: pick }) },
  { weight: 1, arbitrary: fc.record({ remove: pick }) },
  {
    weight: 1,
    arbitrary: fc.record({
      purge: fc.constantFrom<PurgeKind>("key", "key", "key", "key", "model", "tenant", "all"),
      target: pick,
      ago: fc.integer({ min: -500, max: 5000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ anew: fc.boolean() }) },
);
type Call = typeof call extends fc.Arbitrary<infer T> ? T : never;
const event = fc.record({
  step: fc.oneof(
    { weight: 8, arbitrary: fc.nat(400) },
    { weight: 2, arbitrary: fc.nat(30_000) },
    { weight: 1, arbitrary: fc.integer({ min: -90_000, max: 0 }) },
    { weight: 1, arbitrary: fc.constantFrom(55 * 864e5, -864e5) },
  ),
  worker: fc.nat(2),
  call,
  /** Of the other workers, before each access of the call to shared data. */
  between: fc.array(fc.record({ access: fc.nat(6), worker: fc.nat(1), call }), { maxLength: 3 }),
});

const bytes = 98_304;
const largest = 16_384;

class Run {
  readonly reference = new ReferenceAnswers();
  serial = 0;
  /** Is called by the test right now. */
  busy: AnswerWorker | undefined;
  done = {
    stored: 0,
    fresh: 0,
    stale: 0,
    missing: 0,
    removed: 0,
    purged: 0,
    dead: 0,
    newer: 0,
    lost: 0,
    anew: 0,
    evicted: 0,
    torn: 0,
  };

  constructor(
    readonly host: ProxyWasmHost,
    readonly workers: readonly AnswerWorker[],
    readonly keys: readonly Hash[],
  ) {}

  key(which: number): Hash {
    return this.keys[which % this.keys.length] as Hash;
  }

  do(worker: AnswerWorker, call: Call, now: number): void {
    if ("store" in call) this.#store(worker, call, now);
    else if ("find" in call) this.#find(worker, this.key(call.find), now);
    else if ("purge" in call) this.#purge(worker, call.purge, call.target, now - call.ago, now);
    else if ("anew" in call) {
      this.#count(worker);
      worker.open(bytes, largest, call.anew);
      this.done.anew++;
    } else {
      const from = this.reference.turn();
      const key = this.key(call.remove);
      if (!worker.remove(key)) return;
      this.reference.removed(key, from);
      this.done.removed++;
    }
  }

  #store(worker: AnswerWorker, call: Extract<Call, { store: number }>, now: number): void {
    const key = this.key(call.store);
    const storedAt = now - call.age;
    const body = Buffer.alloc(call.bytes + 8, this.serial);
    body.writeUInt32LE(this.serial++, 0);
    const given: Answer = answer({
      ...{ body, storedAt, expiresAt: storedAt + call.life, tenant: BigInt(call.who), model: BigInt(call.who * 10) },
      ...{ api: this.serial % 6, flags: this.serial & 1, tokens: [this.serial, 2, 3], contentType: `a/${this.serial}` },
    });
    const staleUntil = given.expiresAt + call.stale;
    const once = this.reference.begin(key, given, staleUntil);
    const kept = worker.put(key, given, staleUntil, now);
    if (kept === "stored") once.to = this.reference.turn();
    else if (kept === "dead" || kept === "newer" || kept === "lost") this.done[kept]++;
    else throw new Error(`a store that should not be ${kept}`);
    if (kept === "stored") this.done.stored++;
  }

  #find(worker: AnswerWorker, key: Hash, now: number): void {
    const from = this.reference.turn();
    const found = worker.find(key, now);
    this.done[found?.found ?? "missing"]++;
    if (found) expect(this.reference.objection(key, found, now, from)).toBeUndefined();
  }

  #purge(worker: AnswerWorker, kind: PurgeKind, which: number, at: number, now: number): void {
    const target: Hash =
      kind === "key" ? this.key(which) : [BigInt(kind === "model" ? (which % 3) * 10 : which % 3), 0n];
    if (!worker.purge(kind, target, at, now)) return;
    // The news reaches the others: what they serve in the quarter of a second before is not a matter of order.
    for (const other of this.workers) if (other !== worker && other !== this.busy) other.readPurges(now);
    this.reference.purge(kind, target, Math.max(at, 0), now);
    this.done.purged++;
  }

  #count(worker: AnswerWorker): void {
    const { evictions, torn } = worker.counters();
    this.done.evicted += evictions;
    this.done.torn += torn;
  }

  /** Nobody works: what lies in shared data is what its sets say, or nothing. */
  checkMemory(): void {
    for (const worker of this.workers) this.#count(worker);
    const { sharedData } = this.host;
    const name = answerKeys(this.host);
    for (const key of name) {
      const set = Buffer.from(sharedData.get("", key.slice(0, 14))?.value ?? []);
      const way = ((key.charCodeAt(15) - 48) << 6) | (key.charCodeAt(16) - 48);
      const said = set.readUInt32LE(32 + 128 * 12 + way * 4);
      const there = sharedData.get("", key)?.value.length;
      expect([0, said]).toContain(there);
    }
    expect(sharedData.bytes() + sharedData.keys().length * 160).toBeLessThan(bytes + 2500);
  }
}

const settings = { workers: 3, maxBytes: bytes, maxEntryBytes: largest };

it("never serves what it must not, whatever comes between", { timeout: 90_000 }, async () => {
  const totals: Record<string, number> = {};
  let between = 0;
  let salt = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 60 }), async (events) => {
      const { host, workers } = await startAnswers(settings);
      // Few keys share a place, so calls meet; many fill it.
      const keys = Array.from({ length: 40 }, () => hashOf(salt++));
      const run = new Run(host, workers, keys);
      let now = begin + 864e5;
      const full = { bytes: 12_000, age: 0, life: 1e6, stale: 1e6, who: 1 };
      for (let i = 0; i < 8; i++) run.do(workers[i % 3] as AnswerWorker, { store: i + 3, ...full }, now);
      for (const e of events) {
        now = Math.max(now + e.step, begin);
        // Each worker may have looked at a time that has not come yet.
        if (e.step < 0 || e.step > 864e5) for (const worker of workers) worker.readPurges(now);
        let access = 0;
        host.sharedData.interleave = ({ thread }) => {
          if (thread !== e.worker + 1) return;
          const at = access++;
          for (const { worker, call, access: when } of e.between) {
            if (when !== at) continue;
            run.do(workers[(e.worker + 1 + worker) % 3] as AnswerWorker, call, now);
            between++;
          }
        };
        run.busy = workers[e.worker] as AnswerWorker;
        run.do(run.busy, e.call, now);
        host.sharedData.interleave = undefined;
        if (access > 0 && e.between.length > 0) run.busy.readPurges(now);
        run.busy = undefined;
      }
      run.checkMemory();
      for (const [what, count] of Object.entries(run.done)) totals[what] = (totals[what] ?? 0) + count;
    }),
    { numRuns: 300 },
  );
  expect(between).toBeGreaterThan(2000);
  for (const what of ["stored", "fresh", "stale", "missing", "removed", "purged", "dead", "newer", "anew", "evicted"]) {
    expect(totals[what], what).toBeGreaterThan(40);
  }
  for (const what of ["lost", "torn"]) expect(totals[what], what).toBeGreaterThan(5);
});

it("finds everything that is there when there is room", { timeout: 60_000 }, async () => {
  const { workers } = await startAnswers({ workers: 3, maxBytes: 16 << 20, maxEntryBytes: largest });
  let salt = 1_000_000;
  let hits = 0;
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 40 }), (events) => {
      const keys = Array.from({ length: 4 }, () => hashOf(salt++));
      const reference = new ReferenceAnswers();
      let now = begin + 864e5;
      for (const { step, worker, call } of events) {
        now += Math.abs(step) % 30_000;
        const on = workers[worker] as AnswerWorker;
        if ("store" in call) {
          const key = keys[call.store % 4] as Hash;
          const storedAt = now - Math.abs(call.age);
          const given = answer({ body: Buffer.alloc(9, salt++), storedAt, expiresAt: storedAt + call.life });
          given.body.writeUInt32LE(salt, 0);
          const once = reference.begin(key, given, given.expiresAt + call.stale);
          if (on.put(key, given, given.expiresAt + call.stale, now) === "stored") once.to = reference.turn();
        } else if ("find" in call) {
          const key = keys[call.find % 4] as Hash;
          const there = reference.latest(key);
          const servable = there && reference.isServable(key, there, now);
          expect(on.find(key, now)?.body).toEqual(servable ? there.answer.body : undefined);
          if (servable) hits++;
        }
      }
    }),
    { numRuns: 300 },
  );
  expect(hits).toBeGreaterThan(500);
});
