import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KEY_MARK_LIFE_MS, MARK_LIFE_MS, MAX_MARKS, MAX_PURGE_LOG } from "./limits.ts";
import { ALL, newEpoch, PurgeKind, type PurgeState, type PurgeTarget, purgesSince, withPurge } from "./purge.ts";
import { PurgeMarks } from "./purge-marks.ts";

/** Which purges somebody is told, and which entries are dead. */

const hash = (n: number) => n.toString(16).padStart(16, "0");
const model = (n: number): PurgeTarget => ({ kind: PurgeKind.model, hash: hash(n) });
const EMPTY: PurgeState = { epoch: "01".repeat(8), sequence: 0, purges: [], droppedAt: -1 };
const after = (count: number, at: (n: number) => number = (n) => n) => {
  let state = EMPTY;
  for (let n = 1; n <= count; n++) state = withPurge(state, { ...model(n), at: at(n), sequence: n });
  return state;
};

describe("a list of purges", () => {
  it("tells everybody what came after the last that he has, in order, so many at a time", () => {
    const state = after(10);
    expect(purgesSince(state, 0, 64).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(purgesSince(state, 7, 64).map(({ sequence }) => sequence)).toEqual([8, 9, 10]);
    expect(purgesSince(state, 7, 2).map(({ sequence }) => sequence)).toEqual([8, 9]);
    expect(purgesSince(state, 10, 64)).toEqual([]);
    expect(purgesSince(EMPTY, 0, 64)).toEqual([]);
  });

  it("begins anew for one who is ahead of it", () => {
    expect(purgesSince(after(3), 4, 64).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    expect(purgesSince(EMPTY, 4, 64)).toEqual([]);
  });

  it("keeps so many; whoever misses more is told to drop everything from before the newest of them", () => {
    const state = after(MAX_PURGE_LOG + 3, (n) => (n === 2 ? 900 : n));
    expect(state.purges).toHaveLength(MAX_PURGE_LOG);
    expect(state.droppedAt).toBe(900);
    const [first, second, ...others] = purgesSince(state, 1, 64);
    expect(first).toEqual({ ...ALL, at: 900, sequence: 3 });
    expect(second?.sequence).toBe(4);
    expect(others).toHaveLength(62);
    expect(purgesSince(state, 3, 64)[0]).toMatchObject({ kind: PurgeKind.model, sequence: 4 });
  });

  it("read in pieces of any size, misses nothing that concerns an entry", () => {
    const purge = fc.record({ kind: fc.constantFrom(2, 4), n: fc.integer({ min: 0, max: 3 }), at: fc.nat(1_000) });
    const arbitrary = fc.array(purge, { minLength: 1, maxLength: MAX_PURGE_LOG * 2 });
    fc.assert(
      fc.property(arbitrary, fc.integer({ min: 1, max: 64 }), fc.nat(600), (list, limit, since) => {
        let state = EMPTY;
        for (const [index, { kind, n, at }] of list.entries())
          state = withPurge(state, { ...(kind === 4 ? ALL : model(n)), at, sequence: index + 1 });
        const newest = new Map<string, number>();
        let from = Math.min(since, list.length);
        for (;;) {
          const told = purgesSince(state, from, limit);
          if (told.length === 0) break;
          expect(told.length).toBeLessThanOrEqual(limit);
          for (const { kind, hash, at, sequence } of told) {
            newest.set(`${kind}${hash}`, Math.max(at, newest.get(`${kind}${hash}`) ?? -1));
            expect(sequence).toBeGreaterThan(from);
            from = sequence;
          }
        }
        expect(from).toBe(list.length);
        for (const { kind, n, at } of list.slice(Math.min(since, list.length))) {
          const told = Math.max(newest.get("4") ?? -1, kind === 4 ? -1 : (newest.get(`2${hash(n)}`) ?? -1));
          expect(told).toBeGreaterThanOrEqual(at);
        }
      }),
    );
  });

  it("has an epoch of its own", () => {
    const epochs = Array.from({ length: 100 }, newEpoch);
    expect(new Set(epochs).size).toBe(100);
    for (const epoch of epochs) expect(epoch).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
  });
});

describe("marks", () => {
  const address = { key: `${hash(7)}${hash(8)}`, tenant: hash(1), model: hash(2) };
  const targets: Readonly<Record<string, PurgeTarget>> = {
    key: { kind: PurgeKind.key, hash: address.key },
    model: { kind: PurgeKind.model, hash: address.model },
    tenant: { kind: PurgeKind.tenant, hash: address.tenant },
    all: ALL,
  };

  it.each(Object.entries(targets))("of %s concern an entry of it; the newest time counts", (_name, target) => {
    const marks = new PurgeMarks();
    expect(marks.newest(address)).toBe(-1);
    marks.add(target, 0);
    expect(marks.newest(address)).toBe(0);
    marks.add(target, 9);
    marks.add(target, 5);
    expect(marks.newest(address)).toBe(9);
  });

  it("of others do not", () => {
    const marks = new PurgeMarks();
    marks.add({ kind: PurgeKind.model, hash: address.tenant }, 1);
    marks.add({ kind: PurgeKind.tenant, hash: address.model }, 2);
    marks.add({ kind: PurgeKind.key, hash: `${hash(8)}${hash(7)}` }, 3);
    expect(marks.newest(address)).toBe(-1);
  });

  it("that are too many forget what is over, keys first, and become one of everything when that is too little", () => {
    const key = (n: number): PurgeTarget => ({ kind: PurgeKind.key, hash: hash(n).repeat(2) });
    const marks = new PurgeMarks();
    for (let n = 0; n < MAX_MARKS; n++) marks.add(key(n), n === 7 ? 3 : 1);
    marks.add(targets.model ?? ALL, 2);
    expect(marks.newest(address)).toBe(3);
    expect(marks.newest({ ...address, key: "f".repeat(32), model: hash(0) })).toBe(3);

    const later = new PurgeMarks();
    later.add(targets.model ?? ALL, 1);
    for (let n = 0; n < MAX_MARKS - 1; n++) later.add(key(n), 1);
    later.add(targets.tenant ?? ALL, 2 + KEY_MARK_LIFE_MS);
    expect(later.newest({ ...address, tenant: hash(0) })).toBe(1);
    expect(later.newest({ key: hash(0).repeat(2), tenant: hash(0), model: hash(0) })).toBe(-1);

    const last = new PurgeMarks();
    for (let n = 0; n < MAX_MARKS; n++) last.add(model(n), 1);
    last.add(targets.tenant ?? ALL, 2 + MARK_LIFE_MS);
    expect(last.newest({ ...address, tenant: hash(0) })).toBe(-1);
  });
});
