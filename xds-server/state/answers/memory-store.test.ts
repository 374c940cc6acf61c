import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryStore } from "./memory-store.ts";

/** Room and lives, against a plain list. */

const OVERHEAD = 512;
const address = (n: number) => ({ key: String(n).padStart(32, "0"), tenant: "0".repeat(16), model: "0".repeat(16) });

describe("the memory store", () => {
  it("keeps what was asked for last within its bytes, for as long as it lives", async () => {
    const step = fc.record({
      put: fc.boolean(),
      key: fc.nat(9),
      size: fc.integer({ min: 0, max: 3_000 }),
      ttl: fc.integer({ min: 1, max: 50 }),
      pause: fc.nat(10),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        let now = 0;
        const evicted: string[] = [];
        const store = new MemoryStore({ maxBytes: 8_000, now: () => now, onEvict: (what) => evicted.push(what) });
        // Oldest first.
        let model: { key: number; bytes: Buffer; endsAt: number }[] = [];
        const gone: string[] = [];
        for (const { put, key, size, ttl, pause } of steps) {
          now += pause;
          const known = model.find((each) => each.key === key);
          if (put) {
            const bytes = Buffer.alloc(size, key);
            await store.put(address(key).key, bytes, ttl);
            model = [...model.filter((each) => each !== known), { key, bytes, endsAt: now + ttl }];
            const used = () => model.reduce((sum, each) => sum + each.bytes.length + OVERHEAD, 0);
            while (used() > 8_000) gone.push((model.shift()?.endsAt ?? 0) <= now ? "expired" : "live");
            expect(store.bytes).toBe(used());
          } else {
            const found = await store.get(address(key));
            model = model.filter((each) => each !== known);
            const alive = known !== undefined && known.endsAt > now ? known : undefined;
            if (alive !== undefined) model.push(alive);
            expect(found).toEqual(alive === undefined ? undefined : { packed: alive.bytes, purgedAt: -1 });
          }
          expect(store.size).toBe(model.length);
          expect(evicted).toEqual(gone);
        }
      }),
    );
  });

  it("does not empty itself for what has no room anyway; what that replaces is gone", async () => {
    const store = new MemoryStore({ maxBytes: 2_000, now: () => 0 });
    await store.put(address(1).key, Buffer.alloc(10), 1_000);
    await store.put(address(2).key, Buffer.alloc(10), 1_000);
    await store.put(address(2).key, Buffer.alloc(2_000), 1_000);
    expect([await store.get(address(1)), await store.get(address(2))]).toEqual([expect.anything(), undefined]);
    expect(store.bytes).toBe(10 + OVERHEAD);
  });
});
