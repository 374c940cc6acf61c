import { type AddressInfo, connect, createServer, Socket } from "node:net";
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import {
  type Limit,
  Model,
  requestsOf,
  START,
  scriptAndShadow,
  specOf,
  withoutReset,
} from "../../../test/fixtures/ledger-model.ts";
import { freePort, RedisServer, storeBinaries } from "../../../test/fixtures/redis-server.ts";
import { MemoryStore } from "./memory-store.ts";
import { RedisStore } from "./redis-store.ts";
import { type Charge, type ChargeRequest, type LedgerStore, Mode, StoreError } from "./store.ts";

/** On a real redis-server and a real valkey-server, against the memory store and the model, on a virtual clock. */

describe.each(storeBinaries())("Redis store on $name", ({ binary }) => {
  if ("reason" in binary) {
    it("runs", ({ skip }) => skip(binary.reason));
    return;
  }
  let server: RedisServer;
  let store: RedisStore;
  let direct: Redis;
  const stores: RedisStore[] = [];

  async function open(options: Partial<ConstructorParameters<typeof RedisStore>[0]> = {}): Promise<RedisStore> {
    const opened = new RedisStore({ url: server.url, timeoutMs: 5_000, ...options });
    stores.push(opened);
    await waitFor(() => opened.up(), { what: "Redis" });
    return opened;
  }

  beforeAll(async () => {
    server = await RedisServer.startBinary(binary);
    store = await open();
    direct = new Redis(server.url);
  });
  afterAll(async () => {
    for (const each of stores) await each.close();
    direct?.disconnect();
    await server?.stop();
  });
  beforeEach(async () => {
    await direct.flushall();
  });

  it("equals the memory store and the model, step by step", async () => {
    await fc.assert(
      fc.asyncProperty(...scriptAndShadow, async (script, shadow) => {
        await direct.flushall();
        const memory = new MemoryStore();
        const model = new Model();
        const requests = requestsOf(script, shadow);
        for (const request of requests) {
          const answer = await store.charge(request);
          expect(answer).toEqual(await memory.charge(request));
          expect(withoutReset(answer)).toEqual(model.charge(request));
        }
        const now = requests.at(-1)?.now ?? START;
        for (const [budget, list] of script.budgets.entries()) {
          const meters = list.map((limit, index) => specOf(limit, index, now, undefined));
          const query = { key: `{d}:b:${budget}`, label: "", now, meters };
          expect(await store.read(query)).toEqual(await memory.read(query));
          for (const [action, value] of [
            ["add", 7],
            ["set", 3],
            ["reset", 0],
          ] as const) {
            expect(await store.change({ ...query, action, value })).toEqual(
              await memory.change({ ...query, action, value }),
            );
          }
        }
        const sorted = async (each: LedgerStore) =>
          (await each.usage("{d}:u:day")).map((row) => JSON.stringify(row)).sort();
        expect(await sorted(store)).toEqual(await sorted(memory));
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  const limit: Limit = { amount: 1_000, period: 3_600_000, rolling: false, shadow: false };
  const request = (hits: number, more: Partial<ChargeRequest> = {}): ChargeRequest => ({
    now: START,
    name: "",
    usageTable: "",
    charges: [
      {
        key: "{d}:b:1",
        label: "l",
        mode: Mode.reserve,
        hits,
        reserved: 0,
        usage: "",
        name: "",
        meters: [specOf(limit, 0, START, undefined)],
      },
    ],
    ...more,
  });

  it("admits exactly the amount to many parallel callers of several ledgers", async () => {
    const ledgers = [store, await open(), await open()];
    const answers = await Promise.all(Array.from({ length: 640 }, (_, n) => ledgers[n % 3]?.charge(request(7))));
    expect(answers.filter((answer) => answer?.admitted)).toHaveLength(142); // 142 x 7 = 994, and 6 left
    expect((await store.charge(request(6))).admitted).toBe(true);
  });

  it("charges a call that is repeated with the same id once, whoever repeats it", async () => {
    const other = await open();
    const call = { name: "{d}:i:a" };
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => (n % 2 ? store : other).charge(request(300, call))),
    );
    expect(answers.filter(({ replayed }) => !replayed[0])).toHaveLength(1);
    expect(new Set(answers.map(({ states }) => JSON.stringify(states))).size).toBe(1);
    expect((await store.charge(request(700))).admitted).toBe(true);
  });

  it("lets keys expire, and writes nothing for a request that is refused", async () => {
    await store.charge(request(1_000));
    const [ttl, before] = [await direct.pttl("tokenmesh:{d}:b:1"), await direct.hgetall("tokenmesh:{d}:b:1")];
    expect(ttl).toBeGreaterThan(2 * 3_600_000);
    expect(ttl).toBeLessThanOrEqual(2 * 3_600_000 + 60_000);
    await direct.config("RESETSTAT");
    await store.charge(request(1));
    const stats = await direct.info("commandstats");
    expect(stats).not.toMatch(/cmdstat_(hset|pexpire)/);
    expect(await direct.hgetall("tokenmesh:{d}:b:1")).toEqual(before);
  });

  it("renews the life of a key when a window begins, and only then", async () => {
    const key = "tokenmesh:{d}:b:1";
    const at = (now: number, each = limit) => {
      const [charge] = request(1).charges;
      return request(1, { now, charges: [{ ...(charge as Charge), meters: [specOf(each, 0, now, undefined)] }] });
    };
    for (const rolling of [false, true]) {
      await direct.flushall();
      const each = { ...limit, rolling };
      await store.charge(at(START, each));
      expect(await direct.pttl(key)).toBeGreaterThan(2 * 3_600_000);
      await direct.pexpire(key, 50_000);
      await store.charge(at(START + 1_000, each));
      expect(await direct.pttl(key)).toBeLessThanOrEqual(50_000);
      await store.charge(at(START + 3_600_000, each));
      expect(await direct.pttl(key)).toBeGreaterThan(2 * 3_600_000);
    }
    // A second meter of the budget, with less to live, does not shorten it.
    await store.charge(at(START + 3_600_000, { ...limit, period: 1_000 }));
    expect(await direct.pttl(key)).toBeGreaterThan(2 * 3_600_000);
  });

  it("keeps a day's usage for 35 days, in at most 10,000 rows, and fails no call for it", async () => {
    const table = "tokenmesh:{d}:u:day";
    const used = (usage: string, mode: Mode = Mode.reserve, hits = 2) =>
      store.charge(
        request(hits, {
          usageTable: "{d}:u:day",
          charges: [{ ...(request(hits).charges[0] as Charge), mode, usage }],
        }),
      );
    await used("row");
    const ttl = await direct.pttl(table);
    expect(ttl).toBeGreaterThan(35 * 86_400_000 - 10_000);
    expect(ttl).toBeLessThanOrEqual(35 * 86_400_000);
    const rows = Array.from({ length: 9_999 }, (_, n) => [`h:${n}`, "1", `r:${n}`, "1"]);
    await direct.hset(table, ...rows.flat());
    for (const row of ["late", "later", "late", "row", "0"]) await used(row);
    await used("settled only", Mode.settle);
    const usage = new Map((await store.usage("{d}:u:day")).map(({ row, hits, requests }) => [row, [hits, requests]]));
    expect(usage.size).toBe(10_001);
    expect(["other", "row", "0", "late"].map((row) => usage.get(row))).toEqual([[8, 3], [4, 2], [3, 2], undefined]);
    await direct.hset(table, "h:row", "9223372036854775807");
    expect((await used("row")).admitted).toBe(true);
  });

  it("lists budgets with their labels", async () => {
    await store.charge(request(1));
    await direct
      .set("tokenmesh:{d}:b:not-a-hash-of-ours", "x")
      .then(() => direct.del("tokenmesh:{d}:b:not-a-hash-of-ours"));
    expect(await store.list("{d}:b:", 10)).toEqual([{ key: "{d}:b:1", label: "l" }]);
    expect(await store.list("{e}:b:", 10)).toEqual([]);
  });

  it("survives SCRIPT FLUSH and amounts of 1e15", async () => {
    await direct.script("FLUSH");
    const big = { ...limit, amount: 1e15 };
    const charges = [
      { ...(request(1).charges[0] as Charge), hits: 1e15 - 1, meters: [specOf(big, 0, START, undefined)] },
    ];
    const { states } = await store.charge(request(0, { charges }));
    expect(states[0]?.[0]?.used).toBe(1e15 - 1);
  });

  it("fails at once when too many calls are under way, and while there is no connection", async () => {
    const narrow = await open({ maxInFlight: 5 });
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => narrow.charge(request(1))));
    const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason as StoreError] : []));
    expect(failed.map(({ reason }) => reason)).toEqual(["busy", "busy", "busy"]);
    const absent = new RedisStore({ url: "redis://127.0.0.1:1" });
    stores.push(absent);
    await expect(absent.charge(request(1))).rejects.toMatchObject({ reason: "unavailable" });
  });

  it("gives up a call that takes too long, and reconnects when Redis has hung", async () => {
    const states: boolean[] = [];
    const hasty = await open({ timeoutMs: 100, onState: (up) => states.push(up) });
    process.kill(server.pid, "SIGSTOP");
    try {
      const began = performance.now();
      await expect(hasty.charge(request(1))).rejects.toMatchObject({ reason: "unavailable" });
      expect(performance.now() - began).toBeLessThan(1_000);
      await waitFor(() => states.includes(false), { what: "the connection to be given up" });
      await expect(hasty.charge(request(1))).rejects.toBeInstanceOf(StoreError);
    } finally {
      process.kill(server.pid, "SIGCONT");
    }
    await waitFor(() => hasty.up(), { what: "the connection" });
    expect((await hasty.charge(request(1))).admitted).toBe(true);
  });

  it("does not send a call again whose answer was lost with the connection; its id makes a repetition safe", async () => {
    // Between store and Redis: takes calls through, and cuts the connection where an answer should pass.
    let cut = false;
    const proxy = createServer((client) => {
      const upstream = connect(server.port, "127.0.0.1");
      client.pipe(upstream);
      upstream.on("data", (bytes) => {
        if (cut) client.destroy();
        else client.write(bytes);
      });
      for (const socket of [client, upstream]) socket.on("error", () => {});
      client.on("close", () => upstream.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    try {
      const behind = await open({ url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}` });
      await behind.charge(request(1)); // the script is known now
      cut = true;
      const calls = [request(10), request(20), request(30, { name: "{d}:i:lost" })].map((each) => behind.charge(each));
      const outcomes = await Promise.allSettled(calls);
      expect(
        outcomes.map((each) => (each.status === "rejected" ? (each.reason as StoreError).reason : "answered")),
      ).toEqual(new Array(3).fill("unavailable"));
      cut = false;
      await waitFor(() => behind.up(), { what: "the connection" });
      expect((await behind.charge(request(30, { name: "{d}:i:lost" }))).replayed).toEqual([true]);
      const [state] = await behind.read({ ...(request(1).charges[0] as Charge), now: START });
      expect(state?.used).toBe(61);
    } finally {
      proxy.close();
    }
  });

  it("sends what is asked in one turn of the event loop with one write", async () => {
    const [one, many] = [vi.spyOn(Socket.prototype, "_write"), vi.spyOn(Socket.prototype, "_writev" as "_write")];
    try {
      const answers = await Promise.all(Array.from({ length: 20 }, () => store.charge(request(1))));
      expect(answers.map(({ states }) => states[0]?.[0]?.used)).toEqual(answers.map((_, index) => index + 1));
      expect([one.mock.calls.length, many.mock.calls.length]).toEqual([0, 1]);
    } finally {
      one.mockRestore();
      many.mockRestore();
    }
  });

  it("takes texts that are no ASCII", async () => {
    const label = JSON.stringify([["team", "käse 𝄞\r\n"]]);
    const charges = [{ ...(request(1).charges[0] as Charge), label, usage: "größe", key: "{d}:b:ü", name: "{d}:s:é" }];
    for (let n = 0; n < 2; n++) await store.charge(request(1, { charges, usageTable: "{d}:u:day" }));
    expect(await store.list("{d}:b:", 10)).toEqual([{ key: "{d}:b:ü", label }]);
    expect(await store.usage("{d}:u:day")).toEqual([{ row: "größe", hits: 1, requests: 1 }]);
  });

  it("charges nothing twice when Redis is killed and restarted under load, and comes back", async () => {
    const durable = await RedisServer.startBinary(binary, "--appendonly", "yes", "--appendfsync", "always");
    const ledger = new RedisStore({ url: durable.url, timeoutMs: 1_000 });
    try {
      await waitFor(() => ledger.up(), { what: "Redis" });
      const wide = { ...limit, amount: 1e9 };
      const charge: Charge = { ...(request(1).charges[0] as Charge), meters: [specOf(wide, 0, START, undefined)] };
      const counts = { sent: 0, ok: 0, unsure: 0 };
      let running = true;
      const caller = async () => {
        while (running) {
          const wasUp = ledger.up();
          counts.sent++;
          try {
            await ledger.charge(request(1, { charges: [charge] }));
            counts.ok++;
          } catch {
            // Without a connection nothing was sent; with one, Redis may have charged it.
            if (wasUp) counts.unsure++;
            await new Promise((resolve) => setTimeout(resolve, 2));
          }
        }
      };
      const callers = Array.from({ length: 32 }, caller);
      await waitFor(() => counts.ok > 500, { what: "load" });
      await durable.kill();
      await waitFor(() => !ledger.up(), { what: "the loss" });
      await durable.resume();
      const before = counts.ok;
      await waitFor(() => counts.ok > before + 500, { what: "load after the restart" });
      running = false;
      await Promise.all(callers);
      const [state] = await ledger.read({ key: charge.key, label: "", now: START, meters: charge.meters });
      expect(state?.used).toBeGreaterThanOrEqual(counts.ok);
      expect(state?.used).toBeLessThanOrEqual(counts.ok + counts.unsure);
      expect(counts.unsure).toBeLessThanOrEqual(32);
    } finally {
      await ledger.close();
      await durable.stop();
    }
  }, 60_000);

  it("works on a cluster: all budgets of a request are on one node, domains spread over the nodes", async () => {
    const busPorts = await Promise.all(Array.from({ length: 3 }, freePort));
    const cluster = ["--cluster-enabled", "yes", "--cluster-port"];
    const start = (bus: number) => RedisServer.startBinary(binary, ...cluster, String(bus));
    const nodes = await Promise.all(busPorts.map(start));
    const clients = nodes.map(({ url }) => new Redis(url));
    const urls = nodes.map(({ url }) => url).join(",");
    try {
      for (const [index, client] of clients.entries()) {
        await client.call(
          "CLUSTER",
          "ADDSLOTSRANGE",
          Math.ceil((index * 16_384) / 3),
          Math.ceil(((index + 1) * 16_384) / 3) - 1,
        );
        await client.call("CLUSTER", "MEET", "127.0.0.1", nodes[0]?.port ?? 0, busPorts[0] ?? 0);
      }
      const joined = async (client: Redis) => String(await client.call("CLUSTER", "INFO")).includes("cluster_state:ok");
      const all = async () => (await Promise.all(clients.map(joined))).every(Boolean);
      await waitFor(all, { timeoutMs: 15_000, what: "the cluster" });
      const cluster = await open({ url: urls });
      const domains = ["a", "b", "c", "d", "e", "f"];
      const charge = (domain: string, name: string): Charge => ({
        ...(request(600).charges[0] as Charge),
        key: `{${domain}}:b:${name}`,
        usage: "r",
      });
      for (const domain of domains) {
        const call = {
          now: START,
          name: `{${domain}}:i:1`,
          usageTable: `{${domain}}:u:day`,
          charges: [charge(domain, "1"), charge(domain, "2")],
        };
        expect((await cluster.charge(call)).admitted).toBe(true);
        expect((await cluster.charge({ ...call, name: "" })).admitted).toBe(false);
        expect(await cluster.usage(`{${domain}}:u:day`)).toEqual([{ row: "r", hits: 1_200, requests: 2 }]);
        expect(await cluster.list(`{${domain}}:b:`, 10)).toHaveLength(2);
      }
      const sizes = await Promise.all(clients.map((client) => client.dbsize()));
      expect(sizes.filter((size) => size > 0).length).toBeGreaterThan(1);
    } finally {
      for (const client of clients) client.disconnect();
      for (const store of stores.splice(1)) await store.close();
      for (const node of nodes) await node.stop();
    }
  }, 60_000);
});
