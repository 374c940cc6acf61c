import { Socket } from "node:net";
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { freePort, RedisServer, storeBinaries } from "../../../test/fixtures/redis-server.ts";
import { KEY_MARK_LIFE_MS, MARK_LIFE_MS, MAX_MARKS, MAX_PURGE_LOG } from "./limits.ts";
import { MemoryStore } from "./memory-store.ts";
import { ALL, PurgeKind, type PurgeTarget } from "./purge.ts";
import { RedisStore, type RedisStoreOptions } from "./redis-store.ts";
import { StoreError } from "./store.ts";

/** On a real redis-server and a real valkey-server, against the memory store, on a clock of the test's own. */

const hash = (n: number) => n.toString(16).padStart(16, "0");
const key = (n: number) => hash(n).repeat(2);
const address = (n: number, tenant = 0, model = 0) => ({ key: key(n), tenant: hash(tenant), model: hash(model) });
const onModel = (n: number): PurgeTarget => ({ kind: PurgeKind.model, hash: hash(n) });
const onKey = (n: number): PurgeTarget => ({ kind: PurgeKind.key, hash: key(n) });
const MARKS = "tokenmesh:{a}:purges";

describe.each(storeBinaries())("Redis store on $name", ({ binary }) => {
  if ("reason" in binary) {
    it("runs", ({ skip }) => skip(binary.reason));
    return;
  }
  let server: RedisServer;
  let direct: Redis;
  let now = 0;
  const stores: RedisStore[] = [];

  async function open(options: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
    const store = new RedisStore({ url: server.url, timeoutMs: 5_000, now: () => now, ...options });
    stores.push(store);
    await waitFor(() => store.up(), { what: "Redis" });
    await waitFor(() => direct.exists(MARKS), { what: "the marks" });
    return store;
  }

  beforeAll(async () => {
    server = await RedisServer.startBinary(binary);
    direct = new Redis(server.url);
  });
  afterAll(async () => {
    direct?.disconnect();
    await server?.stop();
  });
  beforeEach(async () => {
    now = 1_000_000;
    await direct.flushall();
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
  });

  it("equals the memory store in what it finds and what is purged, step by step", async () => {
    const store = await open();
    const small = fc.nat(2);
    const step = fc.record({
      what: fc.constantFrom("put", "get", "purge"),
      n: small,
      tenant: small,
      model: small,
      kind: fc.constantFrom(...Object.values(PurgeKind)),
      back: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        await direct.flushall();
        now = 1_000_000;
        const { epoch } = await store.purges(undefined, now);
        const memory = new MemoryStore({ maxBytes: 1e9, now: () => now });
        // Marks that are new say that nothing from before is to be trusted.
        const begun = (purgedAt: number) => Math.max(purgedAt, 1_000_000);
        for (const { what, n, tenant, model, kind, back } of steps) {
          now += 2;
          if (what === "put") {
            for (const each of [store, memory]) await each.put(key(n), Buffer.from([n, now & 255]), 60_000);
          } else if (what === "get") {
            const [found, expected] = [
              await store.get(address(n, tenant, model)),
              await memory.get(address(n, tenant, model)),
            ];
            // An entry that a purge of everything has taken from memory is still there in Redis, and dead.
            if (expected !== undefined) expect(found).toEqual({ ...expected, purgedAt: begun(expected.purgedAt) });
            else if (found !== undefined) expect(found.purgedAt).toBeGreaterThan(1_000_000);
          } else {
            const target = { kind, hash: kind === PurgeKind.key ? key(n) : kind === PurgeKind.all ? "" : hash(n) };
            expect(await store.purge(target, now - back)).toEqual(await memory.purge(target, now - back));
          }
        }
        expect(await store.purges(undefined, now)).toEqual({ ...(await memory.purges()), epoch });
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it("keeps an entry for its life, under a name of its own, with whatever bytes", async () => {
    const [store, other] = [await open(), await open({ prefix: "other:" })];
    const bytes = Buffer.from(Array.from({ length: 512 }, (_, n) => n & 255));
    await store.put(key(1), bytes, 40_000);
    expect(await store.get(address(1))).toEqual({ packed: bytes, purgedAt: 1_000_000 });
    expect(await other.get(address(1))).toBeUndefined();
    expect(await direct.pttl(`tokenmesh:a:${key(1)}`)).toBeGreaterThan(35_000);
    expect(await direct.pttl(`tokenmesh:a:${key(1)}`)).toBeLessThanOrEqual(40_000);
    expect((await direct.keys("*")).filter((name) => !/^(tokenmesh|other):\{?a/.test(name))).toEqual([]);
  });

  it("sends what is asked in one turn of the event loop with one write, and never looks through the keys", async () => {
    const store = await open();
    await store.put(key(1), Buffer.from("a"), 40_000);
    await direct.config("RESETSTAT");
    const [one, many] = [vi.spyOn(Socket.prototype, "_write"), vi.spyOn(Socket.prototype, "_writev" as "_write")];
    try {
      const found = await Promise.all(Array.from({ length: 20 }, () => store.get(address(1))));
      expect(found.every((each) => each?.packed.toString() === "a")).toBe(true);
      expect([one.mock.calls.length, many.mock.calls.length]).toEqual([0, 1]);
    } finally {
      one.mockRestore();
      many.mockRestore();
    }
    await store.purge(onModel(3), now);
    const stats = (await direct.info("commandstats")).match(/cmdstat_\w+/g)?.map((each) => each.slice(8));
    expect(stats).toEqual(expect.arrayContaining(["get", "hmget", "eval"]));
    expect(stats?.filter((each) => /^(keys|scan|hscan)$/.test(each))).toEqual([]);
  });

  it("a purge takes the memory of a key at once, of others never a step more", async () => {
    const store = await open();
    for (let n = 0; n < 50; n++) await store.put(key(n), Buffer.from("a"), 40_000);
    await store.purge(ALL, now);
    expect(await direct.exists(`tokenmesh:a:${key(1)}`)).toBe(1);
    await store.purge(onKey(1), now);
    await waitFor(async () => (await direct.exists(`tokenmesh:a:${key(1)}`)) === 0, { what: "the key to go" });
  });

  it("purges of one server hold for the others at once, also for what they store late", async () => {
    const [store, other] = [await open(), await open()];
    await store.purge(onModel(5), now + 7);
    await other.put(key(1), Buffer.from("a"), 40_000);
    expect((await other.get(address(1, 0, 5)))?.purgedAt).toBe(now + 7);
    expect((await other.get(address(1, 0, 6)))?.purgedAt).toBe(now);
    await store.purge(onKey(1), now + 9);
    await waitFor(async () => (await other.get(address(1))) === undefined, { what: "the key to go" });
    await other.put(key(1), Buffer.from("a"), 40_000);
    expect((await other.get(address(1)))?.purgedAt).toBe(now + 9);
    const known = await other.purges(undefined, now);
    expect(known.purges).toHaveLength(2);
    expect(await other.purges(known, now)).toBe(known);
    expect(await store.purges(undefined, now)).toEqual(known);
  });

  it("counts what is stored as purged when the marks are lost, and begins another epoch", async () => {
    const store = await open();
    await store.purge(onModel(5), now);
    const before = await store.purges(undefined, now);
    await store.put(key(1), Buffer.from("a"), 40_000);
    await direct.del(MARKS);
    now += 500;
    expect(await store.get(address(1))).toBeUndefined();
    await waitFor(() => direct.exists(MARKS), { what: "new marks" });
    expect((await store.get(address(1)))?.purgedAt).toBe(now);
    const state = await store.purges(before, now);
    expect(state).toMatchObject({ sequence: 0, purges: [] });
    expect(state.epoch).not.toBe(before.epoch);
  });

  it("tells of everything when the list of purges is lost and the marks are not", async () => {
    const store = await open();
    for (let n = 1; n <= 3; n++) await store.purge(onModel(n), now);
    await direct.del("tokenmesh:{a}:log");
    now += 500;
    await store.purge(onModel(4), now);
    const state = await store.purges(undefined, now);
    expect(state.purges.map(({ sequence }) => sequence)).toEqual([4]);
    expect(state.droppedAt).toBe(now);
  });

  it("what is no list of purges fails, and nothing else does", async () => {
    const store = await open();
    await store.put(key(1), Buffer.from("a"), 40_000);
    for (const record of ["", "5::1", "1:00:1", "4:00:1", "2:0011223344556677:", "4::1234567890123456"]) {
      await direct.del("tokenmesh:{a}:log");
      await direct.rpush("tokenmesh:{a}:log", record);
      await direct.hset(MARKS, "sequence", 1);
      await expect(store.purges(undefined, now)).rejects.toMatchObject({ reason: "failed" });
    }
    await direct.del("tokenmesh:{a}:log");
    await direct.set("tokenmesh:{a}:log", "no list");
    await expect(store.purges(undefined, now)).rejects.toBeInstanceOf(StoreError);
    expect(await store.get(address(1))).toBeDefined();
    await direct.hset(MARKS, `m${hash(0)}`, "no time");
    expect((await store.get(address(1)))?.purgedAt).toBe(Number.POSITIVE_INFINITY);
  });

  it("keeps so many purges and so many marks", async () => {
    const [store, memory] = [await open(), new MemoryStore({ maxBytes: 1e9, now: () => now })];
    for (const each of [store, memory])
      for (let n = 1; n <= MAX_PURGE_LOG + 5; n++) await each.purge(onModel(n), n === 3 ? now + 50 : now);
    const { epoch, ...state } = await store.purges(undefined, now);
    const { epoch: _, ...expected } = await memory.purges();
    expect(state).toEqual(expected);
    expect(state.droppedAt).toBe(now + 50);

    const marks = (from: number, count: number, at: number, letter: string) =>
      direct.hset(MARKS, Object.fromEntries(Array.from({ length: count }, (_, n) => [letter + hash(from + n), at])));
    await marks(1e6, MAX_MARKS, now, "k");
    await store.put(key(1), Buffer.from("a"), 40_000);
    now += KEY_MARK_LIFE_MS + 1;
    await store.purge(onModel(7), now);
    expect(await direct.hlen(MARKS)).toBeLessThan(MAX_PURGE_LOG + 20);
    expect((await store.get(address(1, 0, 3)))?.purgedAt).toBe(1_000_050);

    await marks(1e6, MAX_MARKS, now + 7, "t");
    await store.purge(onModel(7), now);
    expect(await direct.hlen(MARKS)).toBe(4);
    expect((await store.get(address(1)))?.purgedAt).toBe(now + 7);
    await marks(1e6, MAX_MARKS, now, "t");
    now += MARK_LIFE_MS + 8;
    await store.purge(onModel(7), now);
    expect((await store.get(address(1)))?.purgedAt).toBe(-1);
  });

  it("fails at once when too many calls are under way, and without a connection", async () => {
    const narrow = await open({ maxInFlight: 5 });
    await narrow.put(key(1), Buffer.from("a"), 40_000);
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => narrow.get(address(1))));
    const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason as StoreError] : []));
    expect(failed.map(({ reason }) => reason)).toEqual(["busy", "busy", "busy"]);
    const absent = new RedisStore({ url: "redis://127.0.0.1:1", now: () => now });
    stores.push(absent);
    await expect(absent.get(address(1))).rejects.toMatchObject({ reason: "unavailable" });
    expect(absent.view()).toEqual({ kind: "redis", up: false, callsUnderWay: 0 });
  });

  it("gives up what takes too long, piles nothing up, and is back when Redis is", async () => {
    const states: boolean[] = [];
    const hasty = await open({ timeoutMs: 100, maxInFlight: 20, onState: (up) => states.push(up) });
    await hasty.put(key(1), Buffer.from("a"), 40_000);
    process.kill(server.pid, "SIGSTOP");
    try {
      const began = performance.now();
      const results = await Promise.allSettled(Array.from({ length: 50 }, () => hasty.get(address(1))));
      expect(performance.now() - began).toBeLessThan(1_000);
      const reasons = results.map((each) => (each.status === "rejected" ? (each.reason as StoreError).reason : "ok"));
      expect(reasons.filter((reason) => reason === "unavailable")).toHaveLength(20);
      expect(reasons.filter((reason) => reason === "busy")).toHaveLength(30);
      expect(hasty.view().callsUnderWay).toBe(20);
      await waitFor(() => states.includes(false), { what: "the connection to be given up" });
      expect(hasty.view().callsUnderWay).toBe(0);
      await expect(hasty.get(address(1))).rejects.toMatchObject({ reason: "unavailable" });
    } finally {
      process.kill(server.pid, "SIGCONT");
    }
    await waitFor(() => hasty.up(), { what: "the connection" });
    expect(await hasty.get(address(1))).toBeDefined();
  });

  it("an error of Redis is `failed`: one that is full takes nothing and still gives", async () => {
    const store = await open();
    await store.put(key(1), Buffer.from("a"), 40_000);
    await direct.config("SET", "maxmemory", "1");
    try {
      await expect(store.put(key(2), Buffer.from("a"), 40_000)).rejects.toMatchObject({ reason: "failed" });
      expect(await store.get(address(1))).toBeDefined();
    } finally {
      await direct.config("SET", "maxmemory", "0");
    }
  });

  it("loses no purge when Redis evicts what has a life", async () => {
    const store = await open();
    await direct.config("SET", "maxmemory-policy", "volatile-lru");
    try {
      for (let n = 0; n < 5; n++) await store.purge(onModel(n), now);
      const used = Number(/used_memory:(\d+)/.exec(await direct.info("memory"))?.[1]);
      await direct.config("SET", "maxmemory", String(used + 2_000_000));
      for (let n = 0; n < 400; n++) await store.put(key(n), Buffer.alloc(20_000), 40_000);
      expect(await direct.dbsize()).toBeLessThan(250);
      const { sequence, purges } = await store.purges(undefined, now);
      expect([sequence, purges.length, await direct.hlen(MARKS)]).toEqual([5, 5, 9]);
    } finally {
      await direct.config("SET", "maxmemory", "0");
      await direct.config("SET", "maxmemory-policy", "noeviction");
    }
  });

  it("refuses what is no URL of Redis, without repeating it: there may be a password in it", () => {
    for (const url of ["", "nonsense", "http://secret@h:1", "redis://", "redis://127.0.0.1:1,secret"]) {
      expect(() => new RedisStore({ url, now: () => 0 })).toThrow(/^TM_USAGE not a URL of Redis/);
      expect(() => new RedisStore({ url, now: () => 0 })).not.toThrow(/secret/);
    }
  });

  it("works on a cluster: entries spread over the nodes, purges hold everywhere", async () => {
    const busPorts = await Promise.all(Array.from({ length: 3 }, freePort));
    const nodes = await Promise.all(
      busPorts.map((bus) => RedisServer.startBinary(binary, "--cluster-enabled", "yes", "--cluster-port", String(bus))),
    );
    const clients = nodes.map(({ url }) => new Redis(url));
    const cluster = new RedisStore({ url: nodes.map(({ url }) => url).join(","), timeoutMs: 5_000, now: () => now });
    try {
      for (const [index, client] of clients.entries()) {
        const [from, to] = [Math.ceil((index * 16_384) / 3), Math.ceil(((index + 1) * 16_384) / 3) - 1];
        await client.call("CLUSTER", "ADDSLOTSRANGE", from, to);
        await client.call("CLUSTER", "MEET", "127.0.0.1", nodes[0]?.port ?? 0, busPorts[0] ?? 0);
      }
      const joined = async (client: Redis) => String(await client.call("CLUSTER", "INFO")).includes("cluster_state:ok");
      const all = async () => (await Promise.all(clients.map(joined))).every(Boolean);
      await waitFor(all, { timeoutMs: 15_000, what: "the cluster" });
      await waitFor(() => cluster.up(), { what: "the connection" });
      // The client may have begun before the nodes knew each other, and closes that connection then.
      const isUsable = () => cluster.purges(undefined, now).then(Boolean, () => false);
      await waitFor(isUsable, { what: "a connection that knows the slots" });
      for (let n = 0; n < 30; n++) await cluster.put(key(n), Buffer.from([n]), 40_000);
      expect(await cluster.purge(onModel(2), now + 5)).toMatchObject({ sequence: 1 });
      for (let n = 0; n < 30; n++) {
        const found = await cluster.get(address(n, 0, n % 3));
        expect(found).toEqual({ packed: Buffer.from([n]), purgedAt: n % 3 === 2 ? now + 5 : expect.any(Number) });
      }
      const sizes = await Promise.all(clients.map((client) => client.dbsize()));
      expect(sizes.filter((size) => size > 1)).toHaveLength(3);
    } finally {
      await cluster.close();
      for (const client of clients) client.disconnect();
      for (const node of nodes) await node.stop();
    }
  }, 60_000);
});
