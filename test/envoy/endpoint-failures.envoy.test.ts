/** Endpoints that fail, hang or are full, clients that leave, and a filter that is gone: what becomes of requests, and that every one of them is counted down again. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { cluster, type ListenerSpec, projectRoot, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import type { Replica } from "../../envoy/replica/index.ts";
import { ask, askMany, type OpenCall, open, type Told, tally } from "./endpoint-clients.ts";
import { type Feed, startFeed } from "./endpoint-feed.ts";
import * as gateway from "./endpoint-gateway.ts";

const { addressesOf, DESTINATION, oneListener, pickedCluster, pickerFilter, poolOf } = gateway;

const asError = ({ status, body }: Told) => [status, (JSON.parse(body) as { error: { code: string } }).error.code];
const statuses = (answers: readonly Told[]) => tally(answers, ({ status }) => status);
const repliers = (answers: readonly Told[]) => tally(answers, ({ replica }) => replica);
const isUnder = (times: number) => (found: number) => found <= times;

describe.each(versionsUnderTest().slice(-1))("Envoy %s", (version) => {
  let picking: gateway.PickedGateway;
  let replicas: Replica[];
  let feed: Feed;
  const urls = new Map<string, string>();
  const urlOf = (name: string): string => urls.get(name) ?? "";

  beforeAll(async () => {
    replicas = await gateway.startReplicas("r", 4);
    feed = await startFeed();
    const all = addressesOf(replicas);
    picking = await gateway.startPicking({
      version,
      concurrency: 2,
      listeners: listeners(all),
      clusters: [pickedCluster("models", all), cluster({ name: "feed", targets: [feed.address], http2: true })],
    });
    for (const { name } of listeners(all)) urls.set(name, await picking.urlOf(name));
  });
  afterEach(async () => {
    for (const replica of replicas) {
      await replica.recover();
      replica.clearRequests();
    }
  });
  afterAll(async () => {
    await picking?.envoy.stop();
    await feed?.close();
    for (const replica of replicas) await replica.close();
  });

  const listeners = (all: readonly string[]): ListenerSpec[] => {
    const named = (name: string, pool: object, configuration: object = {}): ListenerSpec => ({
      ...oneListener({ ...configuration, pools: [poolOf(name, all, { ...pool })] }, { filter: { name } }),
      name,
      httpFilters: [
        pickerFilter({ ...configuration, pools: [poolOf(name, all, { ...pool })] }, { name, rootId: "hash-ring" }),
      ],
      routes: [
        { cluster: "models", headers: { "x-impatient": "1" }, timeout: "0.15s" },
        { cluster: "models", headers: { "x-retry": "1" }, action: gateway.RETRIES },
        { cluster: "models" },
      ],
    });
    const shed = { header: "x-priority", values: ["low"] };
    return [
      named("by-load", { policy: "least-request" }),
      named("by-time", { policy: "least-response-time" }),
      named("by-prefix", {}),
      named("retried", {}),
      named("refusing", { maxInflight: 1, onNone: "refuse" }),
      named("overflowing", { maxInflight: 1 }),
      named("nobody", { endpoints: [], onNone: "refuse" }),
      named("anybody", { endpoints: [] }),
      named("unfed", { shed }),
      named("fed", { shed, policy: "least-request" }, { feed: { cluster: "feed", intervalMs: 50, maxAgeMs: 5_000 } }),
    ];
  };
  const pending = async (pool: string): Promise<number | undefined> => (await picking.counted(pool)).get("inflight");
  /** A gauge is half a second old: what was 0 before a request came is no proof that it has ended. */
  const filled = (pool: string) =>
    waitFor(async () => ((await pending(pool)) ?? 0) > 0, { what: `${pool} to be counted` });
  const drained = (pool: string) => waitFor(async () => (await pending(pool)) === 0, { what: `${pool} to be empty` });

  test.each(["by-load", "by-time", "by-prefix"])(
    "%s: an endpoint that answers 503 at once attracts nothing, and comes back",
    async (name) => {
      const [broken] = replicas as [Replica];
      const call = (n: number) => ({ text: `${name} ${n} `.repeat(300) });
      broken.failNext({ kind: "status", status: 503 }, { times: "always" });
      const answers = await askMany(urlOf(name), 200, 8, call);
      // Those that were on their way when the first failed, in two workers, and a probe or two each second after that.
      expect(broken.requests.length).toBeGreaterThan(0);
      expect(broken.requests.length).toSatisfy(isUnder(20));
      expect(statuses(answers)).toEqual({ 200: 200 - broken.requests.length, 503: broken.requests.length });
      await broken.recover();
      // Where the fastest wins, a failure is a slow answer that fades for more than a minute.
      const back = async () => repliers(await askMany(urlOf(name), 20, 4, (n) => call(n + 1_000 * Math.random()))).r0;
      if (name !== "by-time") await waitFor(back, { timeoutMs: 20_000, what: "the endpoint to be picked again" });
      await drained(name);
    },
  );

  test("a dead endpoint costs nothing with retries", async () => {
    const [dead] = replicas as [Replica];
    dead.failNext({ kind: "refuse" });
    const headers = { "x-retry": "1" };
    const answers = await askMany(urlOf("retried"), 200, 10, (n) => ({ text: `dead ${n} `.repeat(300), headers }));
    expect(statuses(answers)).toEqual({ 200: 200 });
    expect(repliers(answers).r0).toBeUndefined();
    const told = async () => {
      const counted = await picking.counted("retried");
      return ["moved", "served", "failed", "elsewhere"].map(
        (outcome) => counted.get(`answers;outcome=${outcome}`) ?? 0,
      );
    };
    const all = async () => (await told()).reduce((sum, count) => sum + count, 0) === 200;
    await waitFor(all, { what: "all to be counted" });
    const [moved, served, ...others] = (await told()) as [number, number];
    // Each that moved was an attempt at the dead one: few, because it is left alone after the first.
    expect(moved).toSatisfy(isUnder(24));
    expect([moved + served, ...others]).toEqual([200, 0, 0]);
    expect(replicas.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(200);
  });

  test("nobody has room: 503, or Envoy's own choice, as configured", async () => {
    const fill = async (url: string): Promise<() => void> => {
      for (const replica of replicas) replica.failNext({ kind: "hang" }, { times: "always" });
      const calls: OpenCall[] = [];
      // One after the other: what another worker has sent is known a few milliseconds later.
      for (let n = 0; replicas.some(({ requests }) => requests.length === 0); n++) {
        const call = open(url, { text: `full ${n} `.repeat(200) });
        calls.push(call);
        let answered = false;
        call.answered.then(
          () => {
            answered = true;
          },
          () => {},
        );
        const known = () =>
          answered || replicas.reduce((sum, { requests }) => sum + requests.length, 0) >= calls.length;
        await waitFor(known, { what: "the request to hang, or to be refused" });
      }
      await filled(url === urlOf("refusing") ? "refusing" : "overflowing");
      return () => {
        for (const call of calls) call.leave();
      };
    };
    const empty = await fill(urlOf("refusing"));
    await waitFor(async () => (await ask(urlOf("refusing"))).status === 503, { what: "a refusal" });
    expect(asError(await ask(urlOf("refusing")))).toEqual([503, "no_endpoint"]);
    empty();
    await drained("refusing");
    for (const replica of replicas) {
      await replica.recover();
      replica.clearRequests();
    }
    await waitFor(async () => (await ask(urlOf("refusing"))).status === 200, { what: "room" });

    for (const replica of replicas) replica.clearRequests();
    const emptyAgain = await fill(urlOf("overflowing"));
    for (const replica of replicas) await replica.recover();
    const overflow = async () => {
      const { status, replica } = await ask(urlOf("overflowing"));
      const list = replicas.find(({ name }) => name === replica)?.requests.at(-1)?.headers[DESTINATION];
      return status === 200 && list === undefined;
    };
    await waitFor(overflow, { what: "a request that Envoy places" });
    emptyAgain();
    await drained("overflowing");
  });

  test("a pool without endpoints refuses, or leaves it to Envoy", async () => {
    expect(asError(await ask(urlOf("nobody")))).toEqual([503, "no_endpoint"]);
    const answer = await ask(urlOf("anybody"));
    expect([answer.status, replicas.map(({ name }) => name).includes(answer.replica)]).toEqual([200, true]);
    const seen = replicas.flatMap(({ requests }) => requests.map(({ headers }) => headers[DESTINATION]));
    expect(seen).toEqual([undefined]);
  });

  test("what may wait is shed while the engines are busy, or nobody knows", async () => {
    const low = { "x-priority": "low" };
    const all = addressesOf(replicas);
    expect(asError(await ask(urlOf("unfed"), { headers: low }))).toEqual([429, "pool_saturated"]);
    expect((await ask(urlOf("unfed"), { headers: { "x-priority": "high" } })).status).toBe(200);
    expect((await ask(urlOf("unfed"))).status).toBe(200);

    const statusOf = async (headers: Record<string, string>) => (await ask(urlOf("fed"), { headers })).status;
    feed.report(all.map((address) => ({ address })));
    await waitFor(async () => (await statusOf(low)) === 200, { what: "idle engines" });
    feed.report(all.map((address) => ({ address, waiting: 9, running: 9, kvPermille: 950 })));
    await waitFor(async () => (await statusOf(low)) === 429, { what: "busy engines" });
    expect(await statusOf({})).toBe(200);
    expect([...new Set(feed.asked)]).toEqual(["fed"]);
    // Requests of others keep an endpoint busy that has none of ours.
    feed.report(all.map((address, index) => ({ address, running: index === 0 ? 0 : 50 })));
    const onlyIdle = async () => {
      const answers = await askMany(urlOf("fed"), 40, 1, (n) => ({ text: `${n}` }));
      return (repliers(answers).r0 ?? 0) > 15;
    };
    await waitFor(onlyIdle, { what: "the idle engine to get the most" });
  });

  test("whatever the end, requests are counted down: aborts, resets, timeouts, broken streams", async () => {
    const url = urlOf("by-prefix");
    let sent = 0;
    const stream = { stream: true, max_tokens: 400, min_tokens: 400 };
    for (let round = 0; round < 4; round++) {
      for (const replica of replicas) {
        replica.failNext({ kind: "hang" }, { times: 3 });
        replica.failNext({ kind: "headersThenStall" }, { times: 2 });
        replica.failNext({ kind: "breakMidStream", afterEvents: 1 }, { times: 1 });
        replica.failNext({ kind: "reset" }, { times: 1 });
      }
      const calls = Array.from({ length: 40 }, (_, n) => {
        const headers: Record<string, string> = n % 4 === 0 ? { "x-impatient": "1" } : {};
        return open(url, { text: `${round} ${n} `.repeat(200), more: stream, headers });
      });
      sent += calls.length;
      const here = () => replicas.reduce((sum, { requests }) => sum + requests.length, 0) >= sent;
      await waitFor(here, { what: "all to arrive" });
      await filled("by-prefix");
      for (const call of calls) call.leave();
      for (const replica of replicas) await replica.recover();
    }
    await drained("by-prefix");
    // And it goes on working, everywhere.
    const working = async () => {
      const answers = await askMany(url, 40, 8, (n) => ({ text: `after ${n + Math.random()} `.repeat(300) }));
      return statuses(answers)[200] === 40 && Object.keys(repliers(answers)).length === 4;
    };
    await waitFor(working, { timeoutMs: 30_000, what: "all endpoints to be back" });
    await drained("by-prefix");
    const available = async () => {
      // The gauge is not written without traffic.
      await ask(url, { text: `${Math.random()}` });
      return (await picking.counted("by-prefix")).get("available") === 4;
    };
    await waitFor(available, { timeoutMs: 20_000, what: "the end of all quarantines" });
  });
});

describe("a filter that is gone", () => {
  const start = async (failurePolicy: "FAIL_RELOAD" | "FAIL_CLOSED" | "FAIL_OPEN", concurrency = 1) => {
    const replicas = await gateway.startReplicas("r", 3);
    onTestFinished(async () => {
      for (const replica of replicas) await replica.close();
    });
    const all = addressesOf(replicas);
    const file = join(projectRoot(), "build/test-wasm/trapping-picker.wasm");
    const filter = { file, rootId: "trapping-picker", failurePolicy };
    const picking = await gateway.startPicking({
      ...{ concurrency, allowErrors: [/\[wasm\]/] },
      listeners: [oneListener({ pools: [poolOf("models", all)] }, { filter })],
      clusters: [pickedCluster("models", all)],
    });
    onTestFinished(() => picking.envoy.stop());
    return { picking, replicas, trap: () => ask(picking.url, { headers: { "x-trap": "now" } }) };
  };

  test("FAIL_OPEN: Envoy's ring takes over", async () => {
    const { picking, trap, replicas } = await start("FAIL_OPEN");
    expect((await ask(picking.url)).served).not.toBe("");
    await trap();
    const answers = await askMany(picking.url, 60, 6, (n) => ({ text: `${n} `.repeat(300) }));
    expect(statuses(answers)).toEqual({ 200: 60 });
    expect(answers.filter(({ served }) => served !== "")).toEqual([]);
    const picked = replicas.flatMap(({ requests }) => requests.filter(({ headers }) => DESTINATION in headers));
    expect(picked).toHaveLength(1);
  });

  test("FAIL_CLOSED: nobody is served", async () => {
    const { picking, trap } = await start("FAIL_CLOSED");
    expect((await ask(picking.url)).status).toBe(200);
    expect((await trap()).status).toBe(503);
    expect(statuses(await askMany(picking.url, 10, 2, () => ({})))).toEqual({ 503: 10 });
  });

  test("FAIL_RELOAD: a new VM, and what the old one had in flight is forgotten", async () => {
    const { picking, trap, replicas } = await start("FAIL_RELOAD", 2);
    for (const replica of replicas) replica.failNext({ kind: "hang" }, { times: 4 });
    const hanging = Array.from({ length: 12 }, (_, n) => open(picking.url, { text: `${n} `.repeat(300) }));
    const inflight = async () => (await picking.counted()).get("inflight") ?? 0;
    await waitFor(async () => (await inflight()) >= 8, { what: "the hanging requests to be counted" });
    for (const replica of replicas) await replica.recover();
    expect((await trap()).status).toBe(503);
    // The other worker goes on with its own.
    for (const call of hanging) call.leave();
    const answered = async () => {
      const answers = await askMany(picking.url, 20, 4, (n) => ({ text: `again ${n} `.repeat(300) }));
      return statuses(answers)[200] === 20 && answers.every(({ served }) => served !== "");
    };
    await waitFor(answered, { timeoutMs: 15_000, what: "both workers to pick" });
    await waitFor(async () => (await answered()) && (await inflight()) === 0, { what: "the gauge to be 0" });
  });
});
