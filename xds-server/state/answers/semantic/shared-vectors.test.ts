import { Redis } from "ioredis";
import { Registry } from "prom-client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../../envoy/harness/index.ts";
import { entryOf } from "../../../../test/fixtures/answer-entry.ts";
import { FakeEndpoint } from "../../../../test/fixtures/embeddings/fake-endpoint.ts";
import { freePort, RedisServer, storeBinaries } from "../../../../test/fixtures/redis-server.ts";
import { silentLogger } from "../../../log.ts";
import { AnswerCalls } from "../answer-calls.ts";
import { createAnswerMetrics } from "../metrics.ts";
import { PurgeKind } from "../purge.ts";
import { RedisStore } from "../redis-store.ts";
import { SemanticAnswers } from "./index.ts";
import { RECORDS_PER_PAGE } from "./limits.ts";
import { createSemanticMetrics } from "./metrics.ts";
import { SEMANTIC_DEFAULTS, type SemanticOptions } from "./options.ts";
import { SharedVectors } from "./shared-vectors.ts";
import { wordingOf } from "./wording.ts";

/** Several servers with one Redis or Valkey: real ones. */

const [TENANT, MODEL, P] = ["1".repeat(16), "2".repeat(16), "aa".repeat(16)];
const key = (n: number) => n.toString(16).padStart(32, "0");
/** Directions that are nowhere near each other. */
const direction = (n: number): readonly number[] =>
  Array.from({ length: 64 }, (_, at) => Math.sin((n + 1) * (at + 1) ** 2));

describe.each(storeBinaries())("questions in $name", ({ binary }) => {
  if ("reason" in binary) {
    it("are shared", ({ skip }) => skip(binary.reason));
    return;
  }
  let server: RedisServer;
  let direct: Redis;
  let fake: FakeEndpoint;
  const closing: (() => Promise<void> | void)[] = [];

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
    fake = await FakeEndpoint.start();
    for (let n = 0; n < 400; n++) fake.vectors.set(`question ${n}`, direction(n));
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    await fake.stop();
  });

  async function start(options: Partial<SemanticOptions> = {}) {
    const registry = new Registry();
    const redis = { url: server.url, timeoutMs: 5_000 };
    const store = new RedisStore({ ...redis, now: Date.now });
    const semantic = new SemanticAnswers({
      options: { url: fake.url, words: "any", timeoutMs: 5_000, ...options },
      redis,
      metrics: createSemanticMetrics(registry),
      log: silentLogger,
    });
    closing.push(
      () => store.close(),
      () => semantic.close(),
    );
    const metrics = createAnswerMetrics(registry, { up: () => true, pollers: () => 0, memory: () => undefined });
    const calls = new AnswerCalls({ store, metrics, log: silentLogger, semantic, now: Date.now });
    await waitFor(async () => store.up() && (await direct.exists("tokenmesh:{a}:purges")), { what: "the store" });
    await waitFor(() => (semantic.view() as { sharedUp: boolean }).sharedUp, { what: "the questions" });
    // What is older than the marks of purges counts as purged.
    const began = Date.now();
    await waitFor(() => Date.now() > began + 1, { what: "the next millisecond" });
    return {
      store,
      semantic,
      put: async (n: number, text = `question ${n}`, ttlMs = 60_000) => {
        const value = entryOf({ storedAt: Date.now(), tenant: TENANT, model: MODEL, body: String(n) });
        expect(await calls.put({ key: key(n), ttlMs, value })).toBe(true);
        await semantic.add({ partition: P, text }, key(n), ttlMs);
      },
      get: async (text: string, permille = 990) => {
        const request = {
          key: "f".repeat(32),
          tenant: TENANT,
          model: MODEL,
          question: { partition: P, text, permille },
        };
        return (await calls.get(request))?.similar?.key;
      },
    };
  }

  async function streams(): Promise<readonly string[]> {
    return (await direct.keys("tokenmesh:v:*")).sort();
  }

  it("are known to all servers at once, also to one that starts later", async () => {
    const [one, other] = [await start(), await start()];
    await one.put(1);
    expect(await other.get("question 1")).toBe(key(1));
    await other.put(2);
    expect([await one.get("question 2"), await one.get("question 3")]).toEqual([key(2), undefined]);
    expect(await (await start()).get("question 1")).toBe(key(1));
  });

  it("of an answer that one server purged are answered by none, and leave Redis", async () => {
    const [one, other] = [await start(), await start()];
    await one.put(1);
    await one.put(2);
    expect(await other.get("question 1")).toBe(key(1));
    await one.store.purge({ kind: PurgeKind.key, hash: key(1) }, Date.now());
    expect([await other.get("question 1"), await one.get("question 1")]).toEqual([undefined, undefined]);
    expect(await (await start()).get("question 1")).toBeUndefined();
    const [stream = ""] = await streams();
    await waitFor(async () => (await direct.xlen(stream)) === 1, { what: "the record to go" });
    await one.store.purge({ kind: PurgeKind.tenant, hash: TENANT }, Date.now());
    expect([await other.get("question 2"), await one.get("question 2")]).toEqual([undefined, undefined]);
  });

  it("end with the last of their answers, whichever comes first", async () => {
    const { put } = await start();
    await put(1, "question 1", 30_000);
    const [stream = ""] = await streams();
    expect(await direct.pttl(stream)).toBeGreaterThan(25_000);
    await put(2, "question 2", 60_000);
    await put(3, "question 3", 5_000);
    const left = await direct.pttl(stream);
    expect([left > 55_000, left <= 60_000]).toEqual([true, true]);
  });

  it("of an answer that is stored anew take the place of the old ones; others make room when there are too many", async () => {
    const [one, other] = [await start({ maxQuestions: 3 }), await start({ maxQuestions: 3 })];
    for (let n = 0; n < 5; n++) await one.put(1);
    const [stream = ""] = await streams();
    expect(await direct.xlen(stream)).toBe(1);
    await other.get("question 1");
    await other.put(1);
    expect(await direct.xlen(stream)).toBe(1);
    for (let n = 2; n < 6; n++) await one.put(n);
    expect(await direct.xlen(stream)).toBe(3);
    expect([await other.get("question 2"), await other.get("question 3"), await other.get("question 5")]).toEqual([
      undefined,
      key(3),
      key(5),
    ]);
  });

  it("come in pages, and only those that are new", async () => {
    const one = await start();
    const count = 2 * RECORDS_PER_PAGE + 5;
    await Promise.all(Array.from({ length: count }, (_, n) => one.put(n)));
    const other = await start();
    expect(await other.get(`question ${count - 1}`)).toBe(key(count - 1));
    expect(other.semantic.view()).toMatchObject({ questions: count, partitions: 1 });
    await direct.config("RESETSTAT");
    await one.put(count);
    expect(await other.get(`question ${count}`)).toBe(key(count));
    const stats = await direct.info("commandstats");
    expect(/cmdstat_xrange:calls=1,/.test(stats)).toBe(true);
    expect(stats.match(/cmdstat_(keys|scan)/g)).toBeNull();
  });

  it("of another embedding model are elsewhere", async () => {
    const [one, other] = [await start(), await start({ model: "another" })];
    await one.put(1);
    expect(await other.get("question 1")).toBeUndefined();
    await other.put(2);
    expect((await streams()).map((name) => name.split(":").length)).toEqual([4, 4]);
    expect(SEMANTIC_DEFAULTS.model).not.toBe("another");
  });

  it("that are none are passed over", async () => {
    const { put, get } = await start();
    await put(1);
    const [stream = ""] = await streams();
    for (const bytes of ["", "x", "\u0001".repeat(200)]) await direct.xadd(stream, "*", "q", bytes);
    await direct.xadd(stream, "*", "other", "x");
    const late = await start();
    expect([await late.get("question 1"), await get("question 1")]).toEqual([key(1), key(1)]);
    await direct.del(stream);
    await direct.set(stream, "no stream");
    expect(await get("question 1")).toBe(key(1));
    await put(2);
    expect(await get("question 2")).toBe(key(2));
  });

  it("are in a cluster as well", async () => {
    const settings = ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"];
    const node = await RedisServer.startBinary(binary, ...settings, "--cluster-port", String(await freePort()));
    const client = new Redis(node.url);
    const shared = new SharedVectors({
      redis: { url: node.url, cluster: true, timeoutMs: 5_000 },
      model: "m",
      maxQuestions: 10,
    });
    try {
      await client.call("CLUSTER", "ADDSLOTSRANGE", 0, 16_383);
      const joined = async () => String(await client.call("CLUSTER", "INFO")).includes("cluster_state:ok");
      await waitFor(joined, { timeoutMs: 15_000, what: "the cluster" });
      await waitFor(() => shared.up, { what: "the connection" });
      const asked = { key: key(1), vector: Float32Array.from([0, 1]), wording: wordingOf("why") };
      const first = await shared.add(P, asked, 60_000, "");
      const id = await shared.add(P, asked, 60_000, first);
      expect(await shared.read(P, "")).toEqual({ questions: [{ ...asked, id }], cursor: id, full: false });
      await shared.remove(P, id);
      expect(await shared.read(P, id)).toEqual({ questions: [], cursor: id, full: false });
    } finally {
      shared.close();
      client.disconnect();
      await node.stop();
    }
  });

  it("stay with a server that loses Redis, whose answers come back with it", async () => {
    const { put, get } = await start();
    await put(1);
    expect(await get("question 1")).toBe(key(1));
    await direct.del(...(await streams()));
    expect(await get("question 1")).toBe(key(1));
    await direct.flushall();
    expect(await get("question 1")).toBeUndefined();
  });
});
