import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { Line } from "../../../test/fixtures/line.ts";
import { freePort, RedisServer, storeBinaries } from "../../../test/fixtures/redis-server.ts";
import { describeRecordStore, Told } from "../../../test/state/record-store-suite.ts";
import { RedisRecords } from "./redis-records.ts";
import { RedisRecordStore, type RedisRecordStoreOptions } from "./redis-store.ts";
import { restoration } from "./restoration.ts";
import type { StoredRecord } from "./store.ts";

/** On a real redis-server and a real valkey-server. */

async function openOn(url: string, options: Partial<RedisRecordStoreOptions> = {}): Promise<RedisRecordStore> {
  const store = new RedisRecordStore({ url, ...options });
  await waitFor(() => store.up, { what: "Redis" });
  return store;
}

describe.each(storeBinaries())("$name", ({ name, binary }) => {
  describeRecordStore(
    `Record store on ${name}`,
    async () => {
      const server = await RedisServer.startBinary(binary, "--appendonly", "yes", "--appendfsync", "always");
      const direct = new Redis(server.url);
      direct.on("error", () => {});
      return {
        open: () => openOn(server.url),
        shared: true,
        durable: true,
        clear: async () => {
          await direct.flushall();
        },
        outage: { begin: () => server.kill(), end: () => server.resume() },
        dispose: async () => {
          direct.disconnect();
          await server.stop();
        },
      };
    },
    "reason" in binary ? { skip: binary.reason } : {},
  );

  if ("reason" in binary) return;
  let server: RedisServer;
  let direct: Redis;
  const stores: RedisRecordStore[] = [];
  const open = async (options: Partial<RedisRecordStoreOptions> = {}) => {
    const store = await openOn(server.url, options);
    stores.push(store);
    return store;
  };
  beforeAll(async () => {
    server = await RedisServer.startBinary(binary);
    direct = new Redis(server.url);
  });
  afterAll(async () => {
    direct?.disconnect();
    await server?.stop();
  });
  beforeEach(async () => {
    await direct.flushall();
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
  });

  it("tells and lists no half of a change that comes between reading which records there are and what they say", async () => {
    const [reader, writer] = [await open(), await open()];
    const keys = Array.from({ length: 40 }, (_, n) => `w/${n}`);
    const change = async (value: string) => {
      expect(await writer.changeAll(keys.map((key) => ({ key, value })))).toMatchObject({ ok: true });
    };
    await change("0");
    const told = new Told(reader, "w/");
    await waitFor(() => told.all.length > 0, { what: "the records" });
    let changes = 0;
    // Each page of values that is read meets another change, so often that one of them is in every reading.
    const { values } = RedisRecords.prototype;
    const read = vi.spyOn(RedisRecords.prototype, "values").mockImplementation(async function (this: RedisRecords, of) {
      const found = new Map<string, StoredRecord>();
      for (let at = 0; at < of.length; at += 16) {
        for (const [key, record] of await values.call(this, of.slice(at, at + 16))) found.set(key, record);
        if (changes < 5) await change(String(++changes));
      }
      return found;
    });
    try {
      const listed = await reader.list("w/");
      expect(new Set([...listed.values()].map(({ value }) => value))).toEqual(new Set(["5"]));
      changes = 0;
      await change("again");
      await waitFor(() => told.values?.["w/0"] === "5", { what: "the last change" });
    } finally {
      read.mockRestore();
    }
    for (const all of told.all) expect(new Set([...all.values()].map(({ version }) => version)).size).toBe(1);
  });

  it("puts back what Redis has lost, once for all replicas, and tells of no loss", async () => {
    const [one, other] = [await open(), await open()];
    const told = [new Told(one, "w/"), new Told(other, "w/")];
    for (const key of ["w/a", "w/b"]) await one.put(key, `of ${key}`);
    const expected = { "w/a": "of w/a", "w/b": "of w/b" };
    for (const each of told) await each.until(expected);
    await direct.flushall();
    await waitFor(async () => (await one.list("w/")).size === 2, { what: "the records to be back" });
    await one.put("w/c", "new");
    for (const each of told) await each.until({ ...expected, "w/c": "new" });
    for (const { all } of told) {
      const full = all.findIndex((records) => records.size === 2);
      expect(all.slice(full).filter((records) => records.size < 2)).toEqual([]);
    }
    await one.delete("w/a");
    for (const each of told) await each.until({ "w/b": "of w/b", "w/c": "new" });
  });

  it("keeps a deletion and a change that a replica has not heard of when Redis has lost everything, whoever comes first", async () => {
    for (const first of ["the one that was cut off", "the others"]) {
      await direct.flushall();
      const [heard, cut] = [await Line.to(server.port), await Line.to(server.port)];
      try {
        const [one, other] = [await openOn(heard.url), await openOn(cut.url)];
        stores.push(one, other);
        const told = [new Told(one, "w/"), new Told(other, "w/")] as const;
        for (const key of ["w/gone", "w/changed", "w/same"]) await one.put(key, "old");
        for (const each of told) await each.until({ "w/gone": "old", "w/changed": "old", "w/same": "old" });
        cut.cut();
        await waitFor(() => told[1].failures.length > 0, { what: "the failure" });
        await one.delete("w/gone");
        await one.put("w/changed", "new");
        const after = { "w/changed": "new", "w/same": "old" };
        await told[0].until(after);
        if (first === "the others") {
          await direct.flushall();
          await waitFor(async () => (await one.list("")).size === 2, { what: "the records to be back" });
          await cut.mend();
        } else {
          heard.cut();
          await waitFor(() => told[0].failures.length > 0, { what: "the failure" });
          await direct.flushall();
          await cut.mend();
          await waitFor(async () => (await other.list("")).size === 3, { what: "the records to be back" });
          await other.put("w/since", "new");
          await heard.mend();
          Object.assign(after, { "w/since": "new" });
        }
        for (const each of told) await each.until(after);
        expect([...(await one.list(""))].length).toBe(Object.keys(after).length);
      } finally {
        for (const store of stores.splice(0)) await store.close();
        for (const line of [heard, cut]) await line.close();
      }
    }
  }, 60_000);

  it("puts back as the one that knew most knew it, in whatever order replicas come, and keeps what was put since", async () => {
    const records = new RedisRecords({ url: server.url, maxInFlight: 16 }, "tokenmesh:");
    await waitFor(() => records.up, { what: "Redis" });
    const key = fc.constantFrom("w/a", "w/b", "w/c", "w/d");
    const change = fc.tuple(key, fc.option(fc.string({ maxLength: 3, unit: "grapheme" }), { nil: undefined }));
    const put = fc.tuple(key, fc.string({ maxLength: 3, unit: "grapheme" }));
    const coming = fc.record({
      /** How much of the history it has heard. */
      heard: fc.nat(12),
      /** It ends after so many steps. */
      steps: fc.option(fc.nat(2), { nil: Number.POSITIVE_INFINITY }),
      since: fc.option(put, { nil: undefined }),
    });
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.array(change, { minLength: 1, maxLength: 12 }),
          fc.array(coming, { minLength: 1, maxLength: 5 }),
          async (history, comings) => {
            await direct.flushall();
            const looks: { known: ReadonlyMap<string, StoredRecord>; last: string }[] = [];
            const look = async () => {
              const { last, versions = new Map<string, string>() } = await records.index("");
              looks.push({ known: await records.values([...versions.keys()]), last });
            };
            await look();
            for (const [name, value] of history) {
              await records.change(name, value, undefined);
              await look();
            }
            await direct.flushall();
            const since = new Map<string, string>();
            let most = 0;
            for (const [index, { heard, steps, since: news }] of comings.entries()) {
              const upTo = Math.min(heard, history.length);
              const { known, last } = looks[upTo] as (typeof looks)[number];
              const versions = (await records.index("")).versions ?? new Map<string, string>();
              const all = restoration([{ prefix: "w/", records: known }], last, versions);
              // The last one comes to its end; one that does not is followed by one that knows as much.
              const isWhole = steps >= all.length || index === comings.length - 1;
              for (const step of isWhole ? all : all.slice(0, steps)) await records.restore(step);
              if (isWhole) {
                await records.restored("w/", last);
                most = Math.max(most, upTo);
              }
              if (news === undefined) continue;
              await records.change(...news, undefined);
              since.set(...news);
            }
            // Whoever ended too early comes again.
            for (const { heard } of comings) {
              const upTo = Math.min(heard, history.length);
              const { known, last } = looks[upTo] as (typeof looks)[number];
              const versions = (await records.index("")).versions ?? new Map<string, string>();
              for (const step of restoration([{ prefix: "w/", records: known }], last, versions))
                await records.restore(step);
              await records.restored("w/", last);
              most = Math.max(most, upTo);
            }
            const expected = new Map([...(looks[most]?.known ?? [])].map(([name, { value }]) => [name, value]));
            for (const [name, value] of since) expected.set(name, value);
            const found = await records.values([...((await records.index("")).versions ?? new Map()).keys()]);
            expect(new Map([...found].map(([name, { value }]) => [name, value]))).toEqual(expected);
          },
        ),
        { numRuns: 60 },
      );
    } finally {
      records.close();
    }
  }, 60_000);

  it("sees a change that nobody published, and hears a published one at once", async () => {
    const store = await open();
    const told = new Told(store, "w/");
    await store.put("w/a", "1");
    await told.until({ "w/a": "1" });
    await direct.hset("tokenmesh:{r}:index", "w/a", "v2");
    await direct.set("tokenmesh:{r}:v:w/a", "v2\n2");
    await direct.hset("tokenmesh:{r}:meta", "last", "v2");
    await told.until({ "w/a": "2" });
    const other = await open();
    const began = performance.now();
    await other.put("w/a", "3");
    await told.until({ "w/a": "3" });
    expect(performance.now() - began).toBeLessThan(900);
  });

  it("does not take a value that Redis has thrown away for one that was deleted", async () => {
    const store = await open();
    const told = new Told(store, "w/");
    for (const key of ["w/a", "w/b"]) await store.put(key, "1");
    await told.until({ "w/a": "1", "w/b": "1" });
    await direct.del("tokenmesh:{r}:v:w/a");
    await expect(store.get("w/a")).rejects.toMatchObject({ reason: "failed" });
    await expect(store.list("")).rejects.toMatchObject({ reason: "failed" });
    await store.put("w/b", "2");
    await told.until({ "w/a": "1", "w/b": "2" });
    const late = new Told(store, "w/");
    await waitFor(() => late.failures.length > 0, { what: "the failure" });
    expect(late.all).toEqual([]);
  });

  it("fetches only what has changed", async () => {
    const store = await open();
    for (let n = 0; n < 40; n++) await store.put(`w/${n}`, "x".repeat(10_000));
    const told = new Told(store, "w/");
    await waitFor(() => told.all.length > 0, { what: "the records" });
    await direct.config("RESETSTAT");
    await store.put("w/7", "new");
    await waitFor(() => told.values?.["w/7"] === "new", { what: "the change" });
    const stats = await direct.info("commandstats");
    expect(/cmdstat_mget:calls=(\d+)/.exec(stats)?.[1]).toBe("1");
    const [, sent] = /total_net_output_bytes:(\d+)/.exec(await direct.info("stats")) ?? [];
    expect(Number(sent)).toBeLessThan(30_000);
  });

  it("asks for no more than whether anything has changed, when nothing has", async () => {
    const store = await open();
    await store.put("a", "1");
    const records = new RedisRecords({ url: server.url, maxInFlight: 1 }, "tokenmesh:");
    try {
      await waitFor(() => records.up, { what: "Redis" });
      const { last, versions } = await records.index("");
      expect([...(versions ?? [])]).toEqual([["a", last]]);
      expect(await records.index(last)).toMatchObject({ last, versions: undefined });
      await store.put("b", "1");
      expect((await records.index(last)).versions?.size).toBe(2);
    } finally {
      records.close();
    }
  });

  it("keeps its records apart from those of another prefix, and all of them in one slot", async () => {
    const [one, other] = [await open(), await open({ prefix: "other:" })];
    await one.put("a", "1");
    await other.put("a", "2");
    expect([(await one.get("a"))?.value, (await other.get("a"))?.value]).toEqual(["1", "2"]);
    const keys = await direct.keys("*");
    expect(keys.every((key) => /^(tokenmesh|other):\{r\}:/.test(key))).toBe(true);
    expect(await Promise.all(keys.map((key) => direct.pttl(key)))).toEqual(keys.map(() => -1));
  });

  it("says that Redis is away from the start, and has everything when it comes", async () => {
    const late = await RedisServer.startBinary(binary);
    await late.kill();
    const states: boolean[] = [];
    const store = new RedisRecordStore({ url: late.url, onState: (up) => states.push(up) });
    stores.push(store);
    const told = new Told(store, "w/");
    await waitFor(() => told.failures.length > 0, { what: "the failure" });
    await late.resume();
    await told.until({});
    await store.put("w/a", "1");
    await told.until({ "w/a": "1" });
    expect([told.failures.length, states]).toEqual([1, [true]]);
    await late.stop();
  });

  it("refuses what is no URL of Redis, without showing it", () => {
    expect(() => new RedisRecordStore({ url: "redis://user:secret@:x" })).toThrow(/^TM_USAGE (?!.*secret)/);
  });

  it("works on a cluster, and hears there too", async () => {
    const busPorts = await Promise.all(Array.from({ length: 3 }, freePort));
    const start = (bus: number) =>
      RedisServer.startBinary(binary, "--cluster-enabled", "yes", "--cluster-port", String(bus));
    const nodes = await Promise.all(busPorts.map(start));
    const clients = nodes.map(({ url }) => new Redis(url));
    const replicas: RedisRecordStore[] = [];
    try {
      for (const [index, client] of clients.entries()) {
        const [first, last] = [Math.ceil((16_384 * index) / 3), Math.ceil((16_384 * (index + 1)) / 3) - 1];
        await client.cluster("ADDSLOTSRANGE", first, last);
        if (index > 0)
          await clients[0]?.call("CLUSTER", "MEET", "127.0.0.1", nodes[index]?.port ?? 0, busPorts[index] ?? 0);
      }
      const joined = async (client: Redis) => (await client.cluster("INFO")).includes("cluster_state:ok");
      await waitFor(async () => (await Promise.all(clients.map(joined))).every(Boolean), {
        what: "the cluster",
        timeoutMs: 30_000,
      });
      const url = nodes.map((node) => node.url).join(",");
      replicas.push(await openOn(url), await openOn(url));
      const [one, other] = replicas as [RedisRecordStore, RedisRecordStore];
      const told = new Told(other, "w/");
      await told.until({});
      await one.put("w/a", "1");
      await told.until({ "w/a": "1" });
      expect((await other.list("")).size).toBe(1);
    } finally {
      for (const store of replicas) await store.close();
      for (const client of clients) client.disconnect();
      for (const node of nodes) await node.stop();
    }
  }, 60_000);
});
