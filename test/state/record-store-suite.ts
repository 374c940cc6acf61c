/** What holds for every RecordStore; each kind's test runs it on a fixture of its own, real servers where there are any. */
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { MAX_KEY_LENGTH, MAX_VALUE_BYTES } from "../../xds-server/state/records/limits.ts";
import type { RecordStore, StoredRecord } from "../../xds-server/state/records/store.ts";
import { StoreError } from "../../xds-server/state/store-error.ts";

/** A place where records are kept, of this test file's own. */
export interface RecordStoreFixture {
  /** A store on it: another replica, or, where only one may be open (`shared` false), the next one. It is ready to answer. */
  open(): Promise<RecordStore>;
  /** Several stores may be open at a time, and see each other's changes. */
  readonly shared: boolean;
  /** Records are still there when all stores were closed. */
  readonly durable: boolean;
  /** Removes all records. */
  clear(): Promise<void>;
  /** Takes the place away without a word, and gives it back with its records; undefined where that cannot be. */
  readonly outage?: { begin(): Promise<void>; end(): Promise<void> };
  dispose(): Promise<void>;
}

/** Waits for what is told of a prefix. */
export class Told {
  readonly all: ReadonlyMap<string, StoredRecord>[] = [];
  readonly failures: Error[] = [];
  readonly end: () => void;

  constructor(store: RecordStore, prefix: string) {
    this.end = store.watch(prefix, {
      records: (all) => this.all.push(all),
      failed: (error) => this.failures.push(error),
    });
  }

  /** Values by key, as told last; undefined before the first. */
  get values(): Record<string, string> | undefined {
    const last = this.all.at(-1);
    return last && valuesOf(last);
  }

  async until(expected: Record<string, string>): Promise<void> {
    const wanted = JSON.stringify(sorted(expected));
    await waitFor(() => this.values !== undefined && JSON.stringify(sorted(this.values)) === wanted, {
      what: `the watch to tell ${wanted.slice(0, 200)}`,
    });
  }
}

const sorted = (values: Record<string, string>) => Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
const valuesOf = (all: ReadonlyMap<string, StoredRecord>) =>
  Object.fromEntries([...all].map(([key, { value }]) => [key, value]));

/** @param skip a reason why nothing of it can run here */
export function describeRecordStore(
  name: string,
  makeFixture: () => Promise<RecordStoreFixture>,
  { skip, runs = 30 }: { readonly skip?: string; readonly runs?: number } = {},
): void {
  describe(name, () => {
    if (skip !== undefined) {
      it("runs", (context) => context.skip(skip));
      return;
    }
    let fixture: RecordStoreFixture;
    let store: RecordStore;
    const open: RecordStore[] = [];

    const openStore = async () => {
      const opened = await fixture.open();
      open.push(opened);
      return opened;
    };
    const put = async (key: string, value: string, expected?: string | null) => {
      const result = await store.put(key, value, expected === undefined ? {} : { expected });
      if (!result.ok) throw new Error(`conflict on ${key}`);
      return result.version;
    };

    beforeAll(async () => {
      fixture = await makeFixture();
    });
    afterAll(async () => {
      await fixture?.dispose();
    });
    beforeEach(async () => {
      await fixture.clear();
      store = await openStore();
    });
    afterEach(async () => {
      for (const each of open.splice(0)) await each.close();
    });

    it("gives back what was put, and nothing else", async () => {
      expect(await store.get("weights/a")).toBeUndefined();
      const version = await put("weights/a", "1");
      expect(await store.get("weights/a")).toEqual({ value: "1", version });
      expect(await store.get("weights/a.b")).toBeUndefined();
      expect(await store.get("weights")).toBeUndefined();
    });

    it("takes every text: none, all of Unicode, control characters, 900 KiB", async () => {
      const texts = ["", "käse 𝄞 \u0000\r\n\u2028\u{10ffff}", `{"a":"\\u0000"}`, largeText()];
      for (const [index, text] of texts.entries()) {
        await put(`text/${index}`, text);
        expect((await store.get(`text/${index}`))?.value === text).toBe(true);
      }
      const all = await store.list("text/");
      expect(texts.map((text, index) => all.get(`text/${index}`)?.value === text)).toEqual(texts.map(() => true));
    });

    it("takes every key of its alphabet, and keeps each apart", async () => {
      const keys = ["a", "a/", "a/b", "a.b", "a-b", "a_b", "a/b/", "a//b", "/a", ".", "..", "../a", "-", "a.json"];
      keys.push("z".repeat(MAX_KEY_LENGTH), "0/".repeat(MAX_KEY_LENGTH / 2));
      for (const key of keys) await put(key, `of ${key}`);
      expect(valuesOf(await store.list(""))).toEqual(Object.fromEntries(keys.map((key) => [key, `of ${key}`])));
      for (const key of keys) expect((await store.get(key))?.value).toBe(`of ${key}`);
    });

    it("refuses other keys and longer values with a code, and writes nothing", async () => {
      for (const key of ["", "A", "a b", "ä", "a\n", "a*", "a{b}", "a%2f", "x".repeat(MAX_KEY_LENGTH + 1)]) {
        await expect(store.put(key, "")).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
        await expect(store.get(key)).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
        await expect(store.delete(key)).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
      }
      for (const value of [`${"ä".repeat(MAX_VALUE_BYTES / 2)}.`, "\ud800"])
        await expect(store.put("a", value)).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
      expect(await store.list("")).toEqual(new Map());
    });

    it("lists by prefix, which is text and not a path or a pattern", async () => {
      for (const key of ["a/b", "a/bc", "a/b/c", "a", "b/a", "a.b"]) await put(key, key);
      const keys = async (prefix: string) => [...(await store.list(prefix)).keys()].sort();
      expect(await keys("a/b")).toEqual(["a/b", "a/b/c", "a/bc"]);
      expect(await keys("a/")).toEqual(["a/b", "a/b/c", "a/bc"]);
      expect(await keys("b/a/")).toEqual([]);
      expect(await keys("*")).toEqual([]);
      expect((await keys("")).length).toBe(6);
    });

    it("gives a new value a version that was never there, even after a deletion", async () => {
      const versions = [await put("a", "1"), await put("a", "2"), await put("a", "1")];
      await store.delete("a");
      versions.push(await put("a", "1"));
      await store.delete("a");
      if (fixture.durable) {
        await store.close();
        store = await openStore();
      }
      versions.push(await put("a", "1"));
      expect(new Set(versions).size).toBe(versions.length);
      expect((await store.get("a"))?.version).toBe(versions.at(-1));
    });

    it("changes only what is expected; a conflict is a value with what there is", async () => {
      expect(await store.put("a", "x", { expected: "1" })).toEqual({ ok: false, current: undefined });
      const first = await put("a", "1", null);
      expect(await store.put("a", "x", { expected: null })).toEqual({
        ok: false,
        current: { value: "1", version: first },
      });
      const second = await put("a", "2", first);
      expect(await store.put("a", "x", { expected: first })).toEqual({
        ok: false,
        current: { value: "2", version: second },
      });
      expect(await store.delete("a", { expected: first })).toEqual({
        ok: false,
        current: { value: "2", version: second },
      });
      expect(await store.delete("a", { expected: null })).toMatchObject({ ok: false });
      expect(await store.get("a")).toEqual({ value: "2", version: second });
      expect(await store.delete("a", { expected: second })).toEqual({ ok: true, version: "" });
      expect(await store.put("a", "x", { expected: second })).toEqual({ ok: false, current: undefined });
      expect(await store.delete("a", { expected: second })).toEqual({ ok: false, current: undefined });
      expect(await store.get("a")).toBeUndefined();
    });

    it("deletes without a version whatever there is, also nothing", async () => {
      await put("a", "1");
      expect(await store.delete("a")).toEqual({ ok: true, version: "" });
      expect(await store.delete("a")).toEqual({ ok: true, version: "" });
      expect(await store.delete("a", { expected: null })).toEqual({ ok: true, version: "" });
      expect(await store.list("")).toEqual(new Map());
    });

    it("lets exactly one of many at a time win, and loses no count", async () => {
      const stores = fixture.shared ? [store, await openStore(), await openStore()] : [store];
      const race = await Promise.all(
        Array.from({ length: 12 }, (_, n) => stores[n % stores.length]?.put("race", String(n), { expected: null })),
      );
      expect(race.filter((result) => result?.ok).length).toBe(1);
      await put("count", "0");
      const increment = async (by: RecordStore) => {
        for (;;) {
          const { value, version } = (await by.get("count")) as StoredRecord;
          if ((await by.put("count", String(Number(value) + 1), { expected: version })).ok) return;
        }
      };
      await Promise.all(Array.from({ length: 18 }, (_, n) => increment(stores[n % stores.length] as RecordStore)));
      expect((await store.get("count"))?.value).toBe("18");
    });

    it("equals a map, step by step", async () => {
      const step = fc.record({
        what: fc.constantFrom("put", "cas", "stale", "create", "delete", "delete-cas"),
        key: fc.constantFrom("m/a", "m/b", "m/b/c", "n"),
        value: fc.string({ maxLength: 20, unit: "grapheme" }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
          await fixture.clear();
          if (!fixture.shared) store = await reopened();
          const model = new Map<string, StoredRecord>();
          for (const { what, key, value } of steps) {
            const known = model.get(key);
            const expected = { cas: known?.version ?? null, stale: "0", create: null, "delete-cas": known?.version }[
              what as string
            ];
            const options = expected === undefined ? {} : { expected };
            const fits = expected === undefined || expected === (known?.version ?? null);
            const result = what.startsWith("delete")
              ? await store.delete(key, options)
              : await store.put(key, value, options);
            if (!fits) expect(result).toEqual({ ok: false, current: known });
            else if (what.startsWith("delete")) model.delete(key);
            else if (result.ok) model.set(key, { value, version: result.version });
            expect(result.ok).toBe(fits);
          }
          expect(await store.list("")).toEqual(model);
          const below = [...model].filter(([key]) => key.startsWith("m/"));
          expect(await store.list("m/")).toEqual(new Map(below));
        }),
        { numRuns: runs },
      );
    }, 60_000);

    describe("several records as one change", () => {
      const changes = (value: string, keys = ["b/a", "b/b", "b/c"]) => keys.map((key) => ({ key, value }));
      const all = (value: string) => ({ "b/a": value, "b/b": value, "b/c": value });

      it("are put, replaced and removed, each with its version", async () => {
        const old = await put("b/old", "x");
        const first = await store.changeAll([...changes("1"), { key: "b/old", value: undefined, expected: old }]);
        expect(first).toMatchObject({ ok: true });
        const versions = first.ok ? first.versions : [];
        expect(versions.length).toBe(4);
        const [a = "", b = "", c = ""] = versions;
        expect(await store.list("b/")).toEqual(
          new Map([
            ["b/a", { value: "1", version: a }],
            ["b/b", { value: "1", version: b }],
            ["b/c", { value: "1", version: c }],
          ]),
        );
        for (const [index, key] of ["b/a", "b/b", "b/c"].entries())
          expect(await store.get(key)).toEqual({ value: "1", version: versions[index] });
        const second = await store.changeAll([
          { key: "b/a", value: "2", expected: a },
          { key: "b/b", value: undefined, expected: b },
          { key: "b/new", value: "2", expected: null },
          { key: "b/none", value: undefined },
          { key: "b/none2", value: undefined, expected: null },
        ]);
        expect(second).toMatchObject({ ok: true });
        expect(second.ok && second.versions.slice(3)).toEqual(["", ""]);
        expect(valuesOf(await store.list("b/"))).toEqual({ "b/a": "2", "b/c": "1", "b/new": "2" });
        // What it has told as versions are versions.
        expect(await store.put("b/a", "3", { expected: second.ok ? second.versions[0] : "" } as object)).toMatchObject({
          ok: true,
        });
        expect(await store.delete("b/c", { expected: c })).toMatchObject({ ok: true });
        expect(await store.changeAll([])).toEqual({ ok: true, versions: [] });
      });

      it("are not changed at all when one of them, first, middle or last, is another than expected", async () => {
        const version = await put("b/b", "theirs");
        await put("b/d", "theirs");
        const before = await store.list("");
        const stale = [
          { key: "b/b", value: "mine", expected: null },
          { key: "b/b", value: undefined, expected: null },
          { key: "b/b", value: "mine", expected: "0" },
          { key: "b/b", value: undefined, expected: "0" },
        ];
        const others = [
          { key: "b/a", value: "mine", expected: null },
          { key: "b/c", value: "mine" },
          { key: "b/d", value: undefined },
        ];
        for (const conflict of stale)
          for (let place = 0; place <= others.length; place++) {
            const result = await store.changeAll([...others.slice(0, place), conflict, ...others.slice(place)]);
            expect(result).toEqual({ ok: false, key: "b/b", current: { value: "theirs", version } });
          }
        const gone = await store.changeAll([...changes("mine", ["b/a"]), { key: "b/e", value: "", expected: version }]);
        expect(gone).toEqual({ ok: false, key: "b/e", current: undefined });
        expect(await store.list("")).toEqual(before);
      });

      it("are refused with a code when one is no record or stands twice, and when they are too many", async () => {
        const invalid = [
          { key: "B", value: "" },
          { key: "b/b", value: "\ud800" },
          { key: "b/a", value: "again" },
        ];
        for (const each of invalid)
          await expect(store.changeAll([...changes("1"), each])).rejects.toMatchObject({ code: "TM_RECORD_INVALID" });
        const many = Array.from({ length: 1_001 }, (_, n) => ({ key: `b/${n}`, value: "" }));
        await expect(store.changeAll(many)).rejects.toMatchObject({ code: "TM_STATE_TOO_LARGE" });
        expect(await store.list("")).toEqual(new Map());
      });

      it("are told to watches as one change, here and on other replicas, and never by half", async () => {
        const stores = fixture.shared ? [store, await openStore()] : [store];
        const told = stores.map((each) => new Told(each, "b/"));
        for (const each of told) await each.until({});
        for (let n = 1; n <= 10; n++) {
          expect(await store.changeAll(changes(String(n)))).toMatchObject({ ok: true });
          if (n % 3 === 0) for (const each of told) await each.until(all(String(n)));
        }
        for (const each of told) await each.until(all("10"));
        const calls = told.map((each) => each.all.length);
        await store.changeAll([{ key: "b/a", value: undefined }, ...changes("11", ["b/b", "b/c"])]);
        for (const each of told) await each.until({ "b/b": "11", "b/c": "11" });
        for (const [index, each] of told.entries()) {
          expect(each.all.length).toBe((calls[index] ?? 0) + 1);
          for (const records of each.all)
            expect(new Set([...records.values()].map(({ value }) => value)).size).toBeLessThan(2);
          for (const records of each.all) expect([0, 2, 3]).toContain(records.size);
        }
      });

      it("are never seen by half by who lists and reads while several change them", async () => {
        const stores = fixture.shared ? [store, await openStore(), await openStore()] : [store];
        await store.changeAll(changes("0"));
        let running = true;
        const halves: string[] = [];
        const reader = async (by: RecordStore) => {
          while (running) {
            const values = new Set(Object.values(valuesOf(await by.list("b/"))));
            if (values.size !== 1) halves.push([...values].join());
            // A store in memory would let nobody else have a turn.
            await new Promise((resolve) => setImmediate(resolve));
          }
        };
        const writer = async (by: RecordStore, name: string) => {
          for (let n = 0; n < 5; n++) {
            const current = await by.list("b/");
            const expected = [...current].map(([key, { version }]) => ({
              key,
              value: `${name}${n}`,
              expected: version,
            }));
            await by.changeAll(expected).catch((error: unknown) => {
              // Who is in another's way may be told to come again.
              if (!(error instanceof StoreError && error.reason === "busy")) throw error;
            });
          }
        };
        const reading = reader(stores.at(-1) as RecordStore);
        await Promise.all(stores.map((each, index) => writer(each, `w${index}-`))).finally(() => {
          running = false;
        });
        await reading;
        expect(halves).toEqual([]);
        const values = new Set(Object.values(valuesOf(await store.list("b/"))));
        expect(values.size).toBe(1);
      }, 60_000);

      it("let exactly one of many at a time win", async () => {
        const stores = fixture.shared ? [store, await openStore(), await openStore()] : [store];
        const attempt = (n: number) =>
          (stores[n % stores.length] as RecordStore)
            .changeAll(changes(String(n)).map((change) => ({ ...change, expected: null })))
            .catch((error: unknown) => {
              if (error instanceof StoreError && error.reason === "busy") return { ok: false };
              throw error;
            });
        const results = await Promise.all(Array.from({ length: 6 }, (_, n) => attempt(n)));
        const winners = results.flatMap(({ ok }, n) => (ok ? [String(n)] : []));
        expect(winners.length).toBeLessThan(2);
        if (winners.length === 0) return;
        expect(valuesOf(await store.list("b/"))).toEqual(all(winners[0] as string));
      });

      it("hold every text, and are still there after the store was closed and opened again", async ({
        skip: skipTest,
      }) => {
        if (!fixture.durable) skipTest("nothing outlives the store");
        const texts = ["", "käse 𝄞 \u0000\r\n\u2028\u{10ffff}", "{}\n"];
        const keys = ["b/a", "b/b", "b/c"];
        await put("b/c", "old");
        await store.changeAll([
          ...keys.map((key, index) => ({ key, value: texts[index] ?? "" })),
          { key: "b/none", value: undefined },
        ]);
        const before = await store.list("");
        store = await reopened();
        expect(await store.list("")).toEqual(before);
        expect(valuesOf(before)).toEqual(Object.fromEntries(keys.map((key, index) => [key, texts[index]])));
      });
    });

    it("tells a watch what there is, then every change below its prefix, and nothing of others", async () => {
      await put("w/a", "1");
      await put("other", "1");
      const [told, empty] = [new Told(store, "w/"), new Told(store, "none/")];
      expect([told.all.length, empty.all.length]).toEqual([0, 0]);
      await told.until({ "w/a": "1" });
      await empty.until({});
      await put("w/b", "2");
      await told.until({ "w/a": "1", "w/b": "2" });
      await put("w/a", "3");
      await told.until({ "w/a": "3", "w/b": "2" });
      await store.delete("w/b");
      await told.until({ "w/a": "3" });
      expect(told.all.at(-1)).toEqual(await store.list("w/"));
      const calls = told.all.length;
      await put("other", "2");
      await put("none/a", "1");
      await empty.until({ "none/a": "1" });
      expect(told.all.length).toBe(calls);
      expect([...told.failures, ...empty.failures]).toEqual([]);
    });

    it("tells a watch that begins while another one is told", async () => {
      await put("v/a", "1");
      const begun: Told[] = [];
      const end = store.watch("w/", {
        records: () => begun.push(new Told(store, "v/")),
        failed: (error) => expect.fail(error.message),
      });
      await waitFor(() => begun.length > 0, { what: "the first watch" });
      await begun[0]?.until({ "v/a": "1" });
      end();
      for (const each of begun) each.end();
    });

    it("tells of the last of many changes, and does not change what it has told", async () => {
      const told = new Told(store, "w/");
      await told.until({});
      const [first] = told.all;
      for (let n = 0; n < 20; n++) await put("w/a", String(n));
      await told.until({ "w/a": "19" });
      expect(first).toEqual(new Map());
      expect(new Set(told.all).size).toBe(told.all.length);
    });

    it("tells nothing more after the watch has ended, and nothing after the store was closed", async () => {
      const [ended, running] = [new Told(store, "w/"), new Told(store, "w/")];
      await running.until({});
      await ended.until({});
      ended.end();
      ended.end();
      const calls = ended.all.length;
      await put("w/a", "1");
      await running.until({ "w/a": "1" });
      expect(ended.all.length).toBe(calls);
      const never = new Told(store, "w/");
      never.end();
      await store.close();
      await expect(store.get("w/a")).rejects.toMatchObject({ reason: "unavailable" });
      await expect(store.list("")).rejects.toBeInstanceOf(StoreError);
      await expect(store.put("w/a", "2")).rejects.toBeInstanceOf(StoreError);
      await expect(store.delete("w/a")).rejects.toBeInstanceOf(StoreError);
      await expect(store.changeAll([{ key: "w/a", value: "2" }])).rejects.toBeInstanceOf(StoreError);
      await store.close();
      await new Promise((resolve) => setImmediate(resolve));
      expect([never.all.length, never.failures.length, running.failures.length]).toEqual([0, 0, 0]);
    });

    it("shows changes of one replica to the others", async ({ skip: skipTest }) => {
      if (!fixture.shared) skipTest("one process at a time");
      const other = await openStore();
      const told = new Told(other, "w/");
      await told.until({});
      const version = await put("w/a", "1");
      await told.until({ "w/a": "1" });
      expect(await other.get("w/a")).toEqual({ value: "1", version });
      expect(await other.put("w/a", "2", { expected: version })).toMatchObject({ ok: true });
      expect((await store.get("w/a"))?.value).toBe("2");
      await store.delete("w/a");
      await told.until({});
    });

    it("has everything after it was closed and opened again", async ({ skip: skipTest }) => {
      if (!fixture.durable) skipTest("nothing outlives the store");
      for (let n = 0; n < 5; n++) await put(`d/${n}`, `v${n}`);
      await store.delete("d/3");
      const before = await store.list("");
      store = await reopened();
      expect(await store.list("")).toEqual(before);
      const [key, { version }] = [...before][0] as [string, StoredRecord];
      expect((await store.put(key, "next", { expected: version })).ok).toBe(true);
    });

    it("says so when the place is away, keeps what it has told, and comes back", async ({ skip: skipTest }) => {
      const { outage } = fixture;
      if (outage === undefined) return skipTest("the place cannot be away");
      const version = await put("w/a", "1");
      const told = new Told(store, "w/");
      await told.until({ "w/a": "1" });
      const calls = told.all.length;
      await outage.begin();
      try {
        await waitFor(() => told.failures.length > 0, { what: "the failure to be told" });
        await expect(store.get("w/a")).rejects.toBeInstanceOf(StoreError);
        await expect(store.put("w/a", "2", { expected: "0" })).rejects.toBeInstanceOf(StoreError);
        await expect(
          store.changeAll([
            { key: "w/a", value: "2" },
            { key: "w/b", value: "2" },
          ]),
        ).rejects.toBeInstanceOf(StoreError);
        expect(told.all.length).toBe(calls);
      } finally {
        await outage.end();
      }
      await waitFor(() => told.all.length > calls, { what: "the records to be told again" });
      expect(told.values).toEqual({ "w/a": "1" });
      expect(told.failures.length).toBe(1);
      expect(await store.get("w/a")).toEqual({ value: "1", version });
      await put("w/a", "2", version);
      await told.until({ "w/a": "2" });
    }, 60_000);

    async function reopened(): Promise<RecordStore> {
      for (const each of open.splice(0)) await each.close();
      return openStore();
    }
  });
}

/** 900 KiB as documents are: mostly words, and some digits that nothing can make shorter. */
function largeText(): string {
  const parts: string[] = [];
  let seed = 1;
  for (let bytes = 0; bytes < MAX_VALUE_BYTES; bytes += 30) {
    seed = (seed * 48_271) % 2_147_483_647;
    parts.push(`"endpoint": "${seed.toString().padStart(10, "0")}",\n  `.slice(0, 30).padEnd(30, "."));
  }
  return parts.join("").slice(0, MAX_VALUE_BYTES);
}
