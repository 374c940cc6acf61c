import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AwayStore } from "../../../test/state/away-store.ts";
import { describeRecordStore } from "../../../test/state/record-store-suite.ts";
import { MAX_VALUE_BYTES } from "./limits.ts";
import { MemoryRecords, MemoryStore } from "./memory-store.ts";
import { MeasuredStore } from "./metrics.ts";

describe("metrics of the state store", () => {
  let registry: Registry;
  let away: AwayStore;
  let store: MeasuredStore;
  let now: number;

  beforeEach(() => {
    registry = new Registry();
    away = new AwayStore();
    now = 0;
    store = new MeasuredStore(away, registry, () => now);
  });
  afterEach(() => store.close());

  const shown = async (start: string) =>
    (await registry.metrics())
      .split("\n")
      .filter((line) => line.startsWith(start) && !line.endsWith(" 0"))
      .map((line) => line.slice("tokenmesh_state_".length));
  const told = () => new Promise((resolve) => setImmediate(resolve));

  it("count calls by what came of them, and pass on what the store says", async () => {
    expect(await store.put("a", "1", { expected: null })).toMatchObject({ ok: true });
    expect(await store.put("a", "2", { expected: null })).toMatchObject({ ok: false });
    expect(await store.get("a")).toMatchObject({ value: "1" });
    expect((await store.list("")).size).toBe(1);
    await expect(store.put("a", "x".repeat(MAX_VALUE_BYTES + 1))).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
    away.leave();
    await expect(store.delete("a")).rejects.toMatchObject({ reason: "unavailable" });
    expect(await shown("tokenmesh_state_operations_total")).toEqual([
      'operations_total{operation="get",result="ok"} 1',
      'operations_total{operation="list",result="ok"} 1',
      'operations_total{operation="put",result="ok"} 1',
      'operations_total{operation="put",result="conflict"} 1',
      'operations_total{operation="put",result="invalid"} 1',
      'operations_total{operation="delete",result="unavailable"} 1',
    ]);
    expect(await shown("tokenmesh_state_operation_seconds_count")).toEqual(
      expect.arrayContaining(['operation_seconds_count{operation="put"} 3']),
    );
  });

  it("time calls, those that fail too", async () => {
    const slow = new MeasuredStore(new MemoryStore(), new Registry(), () => (now += 2_000));
    await slow.put("a", "1");
    await slow.close();
    const measured = new Registry();
    const failing = new MeasuredStore(away, measured, () => (now += 2_000));
    away.leave();
    await expect(failing.get("a")).rejects.toThrow();
    expect(await measured.metrics()).toContain('tokenmesh_state_operation_seconds_sum{operation="get"} 2');
  });

  it("tell for how long the records of a kind were not confirmed: before the first answer, and while the store is away", async () => {
    await store.put("documents/a", "1");
    away.leave();
    const failures: Error[] = [];
    const end = store.watch("documents/", { records: () => {}, failed: (error) => failures.push(error) });
    now = 3_000;
    expect(await shown("tokenmesh_state_age")).toEqual(['age_seconds{kind="documents"} 3']);
    expect(store.outage).toEqual({ kinds: ["documents"], forMs: 3_000, reason: undefined });
    away.comeBack();
    await told();
    expect(store.outage).toBeUndefined();
    expect(await shown("tokenmesh_state_age")).toEqual([]);
    expect(await shown("tokenmesh_state_records")).toEqual(['records{kind="documents"} 1']);
    now = 5_000;
    away.leave();
    now = 9_000;
    expect(await shown("tokenmesh_state_age")).toEqual(['age_seconds{kind="documents"} 4']);
    expect(store.outage).toEqual({ kinds: ["documents"], forMs: 4_000, reason: "away" });
    // What was told last still counts.
    expect(await shown("tokenmesh_state_records")).toEqual(['records{kind="documents"} 1']);
    expect([failures.length, await shown("tokenmesh_state_outages")]).toEqual([
      1,
      ['outages_total{kind="documents"} 1'],
    ]);
    end();
    expect(store.outage).toBeUndefined();
    expect(await registry.metrics()).not.toContain('age_seconds{kind="documents"}');
  });
});

describeRecordStore("Measured store", async () => {
  const shared = new MemoryRecords();
  return {
    open: async () => new MeasuredStore(new MemoryStore(shared), new Registry(), () => 0),
    shared: true,
    durable: true,
    clear: async () => shared.records.clear(),
    dispose: async () => {},
  };
});
