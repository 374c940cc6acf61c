import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Limit,
  MINUTE,
  Model,
  requestsOf,
  START,
  scriptAndShadow,
  specOf,
  withoutReset,
} from "../../../test/fixtures/ledger-model.ts";
import { MemoryStore } from "./memory-store.ts";
import { type Charge, type ChargeRequest, Mode, OTHER_ROW } from "./store.ts";

describe("memory store", () => {
  it("equals the model", async () => {
    await fc.assert(
      fc.asyncProperty(...scriptAndShadow, async (script, shadow) => {
        const store = new MemoryStore();
        const model = new Model();
        for (const request of requestsOf(script, shadow)) {
          expect(withoutReset(await store.charge(request))).toEqual(model.charge(request));
        }
      }),
      { numRuns: 400 },
    );
  });

  const one = (limit: Limit, now: number, mode: Mode, hits: number, more: Partial<Charge> = {}): ChargeRequest => ({
    now,
    name: "",
    usageTable: "",
    charges: [
      {
        key: "{d}:b:1",
        label: "l",
        mode,
        hits,
        reserved: 0,
        usage: "",
        name: "",
        meters: [specOf(limit, 0, now, undefined)],
        ...more,
      },
    ],
  });

  it("admits no more than the amount in any interval of a rolling period, settlements included", async () => {
    const arrival = fc.record({ gap: fc.nat(9_000), hits: fc.integer({ min: 1, max: 40 }), share: fc.nat(100) });
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 60 }), async (arrivals) => {
        const limit: Limit = { amount: 60, period: MINUTE, rolling: true, shadow: false };
        const store = new MemoryStore();
        const admitted: { at: number; hits: number; settled: number; due: number }[] = [];
        let now = START;
        for (const { gap, hits, share } of arrivals) {
          now += gap;
          // What was admitted is settled 20 s later, as the share that was really used.
          for (const earlier of admitted.filter(({ due }) => due <= now)) {
            earlier.due = Number.POSITIVE_INFINITY;
            await store.charge(
              one(limit, now, Mode.settle, earlier.settled, {
                reserved: earlier.hits,
                meters: [specOf(limit, 0, now, earlier.at)],
              }),
            );
          }
          const { admitted: yes } = await store.charge(one(limit, now, Mode.reserve, hits));
          if (yes) admitted.push({ at: now, hits, settled: Math.floor((hits * share) / 100), due: now + 20_000 });
        }
        for (const { at: from } of admitted) {
          const inside = admitted.filter(({ at }) => at >= from && at < from + MINUTE);
          expect(inside.reduce((sum, { settled }) => sum + settled, 0)).toBeLessThanOrEqual(60);
        }
      }),
    );
  });

  it("gives a rolling budget back at most a sixteenth of the period late", async () => {
    const limit: Limit = { amount: 10, period: MINUTE, rolling: true, shadow: false };
    const store = new MemoryStore();
    const { states } = await store.charge(one(limit, START + 1, Mode.reserve, 10));
    const back = START + MINUTE + MINUTE / 16;
    expect(states[0]?.[0]?.resetAt).toBe(back);
    expect((await store.charge(one(limit, back - 1, Mode.reserve, 10))).admitted).toBe(false);
    expect((await store.charge(one(limit, back, Mode.reserve, 10))).admitted).toBe(true);
  });

  it("does not give tokens back when a clock steps back, and is not blocked by one that was far ahead", async () => {
    for (const rolling of [false, true]) {
      const limit: Limit = { amount: 10, period: MINUTE, rolling, shadow: false };
      const store = new MemoryStore();
      expect((await store.charge(one(limit, START, Mode.reserve, 10))).admitted).toBe(true);
      expect((await store.charge(one(limit, START - 30_000, Mode.reserve, 10))).admitted).toBe(false);
      expect((await store.charge(one(limit, START + 9 * MINUTE, Mode.reserve, 10))).admitted).toBe(true);
      expect((await store.charge(one(limit, START, Mode.reserve, 10))).admitted).toBe(true);
      expect((await store.charge(one(limit, START, Mode.reserve, 10))).admitted).toBe(false);
    }
  });

  it("stays within its bounds, drops what is least recently used, and counts what still counted", async () => {
    const evicted: string[] = [];
    const store = new MemoryStore({ maxKeys: 100, onEvict: (what) => evicted.push(what) });
    const limit: Limit = { amount: 10, period: MINUTE, rolling: false, shadow: false };
    const charge = (n: number, now: number) =>
      store.charge({ ...one(limit, now, Mode.reserve, 5, { key: `{d}:b:${n}` }), name: `{d}:i:${n}` });
    const constant = one({ ...limit, amount: 1_000 }, START, Mode.reserve, 1, { key: "{d}:b:constant" });
    for (let n = 0; n < 249; n++) {
      await charge(n, START);
      await store.charge(constant);
    }
    await charge(249, START);
    expect((await store.read({ ...(constant.charges[0] as Charge), now: START }))[0]?.used).toBe(249);
    expect(store.size).toBe(100);
    expect(evicted).toEqual(new Array(151).fill("live"));
    store.sweep(START + 9 * MINUTE);
    expect(store.size).toBe(0);
    expect((await charge(249, START + 599_999)).replayed).toEqual([true]);
    expect((await charge(249, START + 600_000)).replayed).toEqual([false]);
  });

  it("counts usage by row, in a bounded table", async () => {
    const store = new MemoryStore();
    const limit: Limit = { amount: 1e6, period: MINUTE, rolling: false, shadow: false };
    for (let n = 0; n < 10_010; n++) {
      await store.charge({ ...one(limit, START, Mode.reserve, 3, { usage: `r${n}` }), usageTable: "t" });
    }
    await store.charge({ ...one(limit, START, Mode.settle, 1, { usage: "r0", reserved: 3 }), usageTable: "t" });
    const rows = await store.usage("t");
    expect(rows).toHaveLength(10_001);
    expect(rows.find(({ row }) => row === OTHER_ROW)).toEqual({ row: OTHER_ROW, hits: 30, requests: 10 });
    expect(rows.find(({ row }) => row === "r0")).toEqual({ row: "r0", hits: 1, requests: 1 });
    store.sweep(START + 36 * 86_400_000);
    expect(await store.usage("t")).toEqual([]);
  });
});
