import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { ToldStore } from "../../../test/state/told-store.ts";
import { silentLogger } from "../../log.ts";
import { StoreError } from "../store-error.ts";
import { MAX_NAME_LENGTH, MAX_WEIGHT, MAX_WEIGHT_CHANGES, MAX_WEIGHTS } from "./limits.ts";
import { MemoryRecords, MemoryStore } from "./memory-store.ts";
import { decodeWeights, encodeWeights, listWeights, type WeightChange, withChanges } from "./weight-list.ts";
import { WeightTable } from "./weights.ts";

const change = (cluster: string, host: number, weight: number | null): WeightChange => ({
  cluster,
  address: `10.0.0.${host}`,
  port: 80,
  weight,
});

describe("the weights of endpoints", () => {
  const tables: WeightTable[] = [];
  const open = async (store = new MemoryStore()) => {
    const table = new WeightTable(store, { log: silentLogger });
    tables.push(table);
    await table.ready;
    const told: string[][] = [];
    table.watch((clusters) => told.push([...clusters].sort()));
    return { table, store, told };
  };
  afterEach(() => {
    for (const table of tables.splice(0)) table.close();
  });

  it("are in force when the call returns, with a version that is another after every change", async () => {
    const { table, told } = await open();
    expect([table.version, table.weightOf("a", "10.0.0.1", 80)]).toEqual(["", undefined]);
    const first = await table.set([change("a", 1, 10), change("a", 2, 0), change("b", 1, 5)]);
    expect(table.version).toBe(first.version);
    expect(["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((address) => table.weightOf("a", address, 80))).toEqual([
      10,
      0,
      undefined,
    ]);
    expect(table.weightOf("a", "10.0.0.1", 81)).toBeUndefined();
    const second = await table.set([change("a", 1, 11)]);
    expect(second.version).not.toBe(first.version);
    expect(told).toEqual([["a", "b"], ["a"]]);
    expect(await table.set([change("a", 1, 11)])).toEqual(second);
    expect(told.length).toBe(2);
  });

  it("go back to those of the configuration with null", async () => {
    const { table, store } = await open();
    await table.set([change("a", 1, 10), change("a", 2, 20)]);
    await table.set([change("a", 1, null), change("b", 1, null)]);
    expect(table.list()).toEqual([change("a", 2, 20)]);
    await table.set([change("a", 2, null)]);
    expect([table.list(), (await store.get("weights"))?.value]).toEqual([[], "{}"]);
  });

  it("reach other replicas, and are there after a restart", async () => {
    const shared = new MemoryRecords();
    const [one, other] = [await open(new MemoryStore(shared)), await open(new MemoryStore(shared))];
    const { version } = await one.table.set([change("a", 1, 10)]);
    await waitFor(() => other.table.weightOf("a", "10.0.0.1", 80) === 10, { what: "the other replica" });
    expect([other.table.version, other.told]).toEqual([version, [["a"]]]);
    const restarted = await open(new MemoryStore(shared));
    expect(restarted.table.list()).toEqual([change("a", 1, 10)]);
  });

  it("of many callers on several replicas are all kept", async () => {
    const shared = new MemoryRecords();
    const all = await Promise.all(Array.from({ length: 3 }, () => open(new MemoryStore(shared))));
    await Promise.all(
      Array.from({ length: 12 }, (_, n) => all[n % 3]?.table.set([change("a", n, n), change(`c${n}`, 1, n)])),
    );
    const fresh = await open(new MemoryStore(shared));
    expect(fresh.table.list().length).toBe(24);
  });

  const refused: readonly [string, readonly WeightChange[]][] = [
    ["none", []],
    ["too many", Array.from({ length: MAX_WEIGHT_CHANGES + 1 }, (_, n) => change(`c${n}`, 1, 1))],
    ["a weight below 0", [change("a", 1, -1)]],
    ["a weight above the most", [change("a", 1, MAX_WEIGHT + 1)]],
    ["half a weight", [change("a", 1, 0.5)]],
    ["no number", [change("a", 1, Number.NaN)]],
    ["a port above 65535", [{ ...change("a", 1, 1), port: 65_536 }]],
    ["no cluster", [change("", 1, 1)]],
    ["a cluster with a line break", [change("a\nb", 1, 1)]],
    ["a cluster that is too long", [change("a".repeat(MAX_NAME_LENGTH + 1), 1, 1)]],
    ["no address", [{ ...change("a", 1, 1), address: "" }]],
    ["an endpoint twice", [change("a", 1, 1), change("a", 1, 2)]],
  ];
  it.each(refused)("refuse %s as a whole, with a code", async (_, changes) => {
    const { table, told } = await open();
    const good = changes.length > 100 ? [] : [change("good", 1, 1)];
    await expect(table.set(changes.length === 0 ? [] : [...good, ...changes])).rejects.toMatchObject({
      code: "TM_WEIGHT_INVALID",
    });
    expect([table.list(), told]).toEqual([[], []]);
  });

  it("refuse more endpoints than one record takes", () => {
    const full = new Map([["a", new Map(Array.from({ length: MAX_WEIGHTS }, (_, n) => [`h${n}:1`, 1]))]]);
    expect(() => withChanges(full, [change("a", 1, 1)])).toThrow(/^TM_WEIGHT_INVALID/);
    const clusters = Array.from(
      { length: MAX_WEIGHTS },
      (_, n) => ["x".repeat(200) + n, new Map([["h:1", 1]])] as const,
    );
    expect(() => encodeWeights(new Map(clusters))).toThrow(/^TM_WEIGHT_INVALID/);
  });

  it("give up after some attempts when others always win", async () => {
    const store = new ToldStore();
    const table = new WeightTable(store, { log: silentLogger, random: () => 0 });
    tables.push(table);
    const put = store.put;
    let attempts = 0;
    Object.assign(store, {
      put: async (...args: Parameters<typeof put>) => {
        attempts++;
        await store.inner.put("weights", `{"x":{"h:1":${attempts}}}`);
        return put(...args);
      },
    });
    await expect(table.set([change("a", 1, 1)])).rejects.toMatchObject({ reason: "busy" });
    expect(attempts).toBe(12);
  });

  it("stay when the store is away or holds what cannot be read", async () => {
    const store = new ToldStore();
    const lines: string[] = [];
    const table = new WeightTable(store, { log: (_, message) => lines.push(message) });
    tables.push(table);
    await table.set([change("a", 1, 7)]);
    await store.tell();
    store.fail();
    store.fault = new StoreError("unavailable", "away");
    await expect(table.set([change("a", 1, 8)])).rejects.toBe(store.fault);
    store.fault = undefined;
    for (const text of ["{", "[]", `{"a":1}`, `{"a":{"h:1":-1}}`, `{"a":{"h:1":"1"}}`]) {
      await store.inner.put("weights", text);
      await store.tell();
      expect(table.weightOf("a", "10.0.0.1", 80)).toBe(7);
      await expect(table.set([change("a", 1, 8)])).rejects.toMatchObject({ reason: "failed" });
    }
    expect(lines.filter((line) => line.includes("cannot be read; the last ones stay")).length).toBe(5);
  });

  it("are read back as they were written, whatever the names", () => {
    const name = fc
      .string({ minLength: 1, maxLength: 20 })
      .filter((text) => !/[\s:[\]\p{Cc}]/u.test(text) && text.isWellFormed());
    const address = fc.oneof(fc.ipV4(), fc.ipV6(), name);
    const weight = fc.record({
      cluster: fc.oneof(name, fc.constantFrom("__proto__", "outbound|80|v1|shop.example", "constructor")),
      address,
      port: fc.nat(65_535),
      weight: fc.nat(MAX_WEIGHT),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(weight, { selector: (each) => JSON.stringify([each.cluster, each.address, each.port]) }),
        (weights) => {
          const sorted = (list: readonly object[]) => list.map((each) => JSON.stringify(each)).sort();
          const decoded = decodeWeights(encodeWeights(withChanges(new Map(), weights)));
          expect(decoded && sorted(listWeights(decoded))).toEqual(sorted(weights));
        },
      ),
    );
  });
});
