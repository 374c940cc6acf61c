import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { entryOf } from "../../../test/fixtures/answer-entry.ts";
import type { LogFields } from "../../log.ts";
import { AnswerCalls } from "./answer-calls.ts";
import { MAX_GETS, MAX_PUT_BYTES, MAX_VALUE_BYTES } from "./limits.ts";
import { MemoryStore } from "./memory-store.ts";
import { createAnswerMetrics } from "./metrics.ts";
import { pack } from "./packing.ts";
import { ALL, PurgeKind } from "./purge.ts";
import { StoreError } from "./store.ts";

/** What a filter is given of what others have put. */

const TENANT = "1".repeat(16);
const MODEL = "2".repeat(16);
const ADDRESS = { key: "ab".repeat(16), tenant: TENANT, model: MODEL };
const entry = (more: Parameters<typeof entryOf>[0] = {}) =>
  entryOf({ storedAt: 1_000, tenant: TENANT, model: MODEL, ...more });

/** Answers after the test says so. */
class SlowStore extends MemoryStore {
  gate: Promise<void> = Promise.resolve();

  override async get(...given: Parameters<MemoryStore["get"]>) {
    await this.gate;
    return super.get(...given);
  }

  override async put(...given: Parameters<MemoryStore["put"]>) {
    await this.gate;
    return super.put(...given);
  }
}

function start() {
  const registry = new Registry();
  const clock = { now: 1_000 };
  const store = new SlowStore({ maxBytes: 1e9, now: () => clock.now });
  const metrics = createAnswerMetrics(registry, { up: () => true, pollers: () => 0, memory: () => undefined });
  const logged: LogFields[] = [];
  const log = (_level: string, message: string, fields?: LogFields) => void logged.push({ message, ...fields });
  const calls = new AnswerCalls({ store, metrics, log, now: () => clock.now });
  const count = async (name: string, value: string) =>
    (await registry.getSingleMetricAsString(`tokenmesh_answers_${name}`)).match(
      new RegExp(`\\{\\w+="${value}"\\} (\\d+)`),
    )?.[1];
  return { clock, store, calls, count, logged };
}

const put = (calls: AnswerCalls, value: Buffer, key = ADDRESS.key) => calls.put({ key, ttlMs: 60_000, value });

describe("an answer", () => {
  it("comes back as it was put, with its age", async () => {
    const { calls, clock, count } = start();
    const value = entry({ body: "x".repeat(5_000) });
    expect(await calls.get(ADDRESS)).toBeUndefined();
    expect(await put(calls, value)).toBe(true);
    clock.now = 4_000;
    expect(await calls.get(ADDRESS)).toEqual({ value, ageMs: 3_000 });
    clock.now = 500;
    expect((await calls.get(ADDRESS))?.ageMs).toBe(0);
    expect([await count("gets_total", "hit"), await count("gets_total", "miss")]).toEqual(["2", "1"]);
    expect(await count("puts_total", "stored")).toBe("1");
    expect(await count("bytes_total", "put")).toBe(String(value.length));
    expect(await count("bytes_total", "got")).toBe(String(2 * value.length));
    expect(Number(await count("bytes_total", "packed"))).toBeLessThan(500);
  });

  it("of another tenant or model is a miss, though the key is the same", async () => {
    const { calls, count } = start();
    await put(calls, entry());
    expect(await calls.get({ ...ADDRESS, tenant: MODEL })).toBeUndefined();
    expect(await calls.get({ ...ADDRESS, model: TENANT })).toBeUndefined();
    expect(await count("gets_total", "foreign")).toBe("2");
    expect(await calls.get(ADDRESS)).toBeDefined();
  });

  it.each([
    ["its key", { kind: PurgeKind.key, hash: ADDRESS.key }],
    ["its model", { kind: PurgeKind.model, hash: MODEL }],
    ["its tenant", { kind: PurgeKind.tenant, hash: TENANT }],
    ["all", ALL],
  ])("that was asked for before %s was purged is a miss, whenever it is put", async (_what, target) => {
    const { calls, store, clock, count } = start();
    await put(calls, entry());
    await store.purge(target, 2_000);
    expect(await calls.get(ADDRESS)).toBeUndefined();
    clock.now = 3_000;
    await put(calls, entry({ storedAt: 2_000 }));
    expect(await calls.get(ADDRESS)).toBeUndefined();
    expect(await count("gets_total", "purged")).toMatch(/[12]/);
    await put(calls, entry({ storedAt: 2_001 }));
    expect(await calls.get(ADDRESS)).toBeDefined();
  });

  it("of an Envoy whose clock is ahead is purged as well", async () => {
    const { calls, store } = start();
    await put(calls, entry({ storedAt: 90_000 }));
    expect(await calls.get(ADDRESS)).toEqual({
      value: entry({ storedAt: 1_000 }).fill(entry({ storedAt: 90_000 }).subarray(16, 24), 16, 24),
      ageMs: 0,
    });
    await store.purge({ kind: PurgeKind.model, hash: MODEL }, 1_000);
    expect(await calls.get(ADDRESS)).toBeUndefined();
  });

  it("that is none is not stored; bytes in the store that are none are a miss", async () => {
    const { calls, store, count } = start();
    const huge = entry({ body: "x".repeat(MAX_VALUE_BYTES) });
    for (const value of [Buffer.alloc(0), entry().subarray(1), entry().subarray(0, -1), huge])
      expect(await put(calls, value)).toBe(false);
    expect(await count("puts_total", "malformed")).toBe("4");
    const packed = await pack(entry({ body: "x".repeat(9_000) }));
    for (const bytes of [Buffer.alloc(0), packed.subarray(0, -1), await pack(Buffer.from("hello"))]) {
      await store.put(ADDRESS.key, bytes, 60_000);
      expect(await calls.get(ADDRESS)).toBeUndefined();
    }
    expect(await count("gets_total", "damaged")).toBe("3");
  });

  it("is a miss when the store fails, which is counted by reason and logged once in a while", async () => {
    const { calls, store, count, logged } = start();
    for (const reason of ["unavailable", "busy", "failed"] as const) {
      store.gate = Promise.reject(new StoreError(reason, "no"));
      for (let n = 0; n < 3; n++)
        expect([await calls.get(ADDRESS), await put(calls, entry())]).toEqual([undefined, false]);
      expect([await count("gets_total", reason), await count("puts_total", reason)]).toEqual(["3", "3"]);
    }
    store.gate = Promise.reject(new TypeError("a mistake"));
    expect(await calls.get(ADDRESS)).toBeUndefined();
    expect(await count("gets_total", "failed")).toBe("4");
    expect(logged).toEqual([{ message: "the store of answers failed", error: "StoreError: no" }]);
  });

  it("is a miss when too many are asked for, and not stored when too much is under way; then all is as before", async () => {
    const { calls, store, count } = start();
    await put(calls, entry());
    let open = () => {};
    store.gate = new Promise((resolve) => {
      open = resolve;
    });
    const gets = Array.from({ length: MAX_GETS + 5 }, () => calls.get(ADDRESS));
    const large = entry({ body: "x".repeat(4_000_000) });
    const most = Math.floor(MAX_PUT_BYTES / large.length);
    const puts = Array.from({ length: most + 2 }, (_, n) => put(calls, large, String(n).padStart(32, "0")));
    open();
    expect((await Promise.all(gets)).filter((found) => found === undefined)).toHaveLength(5);
    expect((await Promise.all(puts)).filter((stored) => !stored)).toHaveLength(2);
    expect([await count("gets_total", "busy"), await count("puts_total", "busy")]).toEqual(["5", "2"]);
    expect([await calls.get(ADDRESS), await put(calls, large)]).toEqual([expect.anything(), true]);
  });
});
