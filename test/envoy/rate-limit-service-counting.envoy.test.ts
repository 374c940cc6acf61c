/** The limiter on envoyproxy/ratelimit as it is: a service that only counts, cannot give back, and charges what it refuses. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type JsonObject, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
import { type RateLimitServer, rateLimitBinary, startRateLimitServer } from "../fixtures/ratelimit-server.ts";
import { RedisServer, redisBinary } from "../fixtures/redis-server.ts";
import {
  type Answered,
  ask,
  HOUR,
  keepAlive,
  leaseCalls,
  type ServiceGateway,
  startServiceGateway,
  tokens,
  windowAhead,
  withStatus,
} from "./rate-limit-service-gateway.ts";
import { chatBody, MODELS } from "./rate-limit-traffic.ts";

const LIMIT = 30_000;
/** A lease of it is 5,000 tokens. */
const LARGE = 100_000;
/** About 52 tokens of prompt, 60 reserved for the answer and 40 used. */
const body = chatBody(200, 40, { max_output_tokens: 60 });
const RESERVED = 112;
const USED = 92;

const missing = [rateLimitBinary(), redisBinary()].flatMap((found) => ("reason" in found ? [found.reason] : []));
if (missing.length > 0) console.log(`skipped: the limiter on envoyproxy/ratelimit: ${missing.join("; ")}`);

const key = [{ header: "x-team" }];
const rule = (name: string, mode: string, onFailure: string): JsonObject => ({
  ...{ name, match: { headers: [{ name: "x-team", prefix: name }] }, key, mode, onFailure },
  limits: [{ unit: "tokens", amount: mode === "leased" ? LARGE : LIMIT, per: "hour" }],
});

describe.skipIf(missing.length > 0).each(versionsUnderTest())("Envoy %s", (version) => {
  let replica: Replica;
  let redis: RedisServer;
  let server: RateLimitServer;
  let gateway: ServiceGateway;
  /** Of a domain that the service does not know. */
  let stranger: ServiceGateway;

  beforeAll(async () => {
    redis = await RedisServer.start();
    server = await startRateLimitServer({ redis });
    replica = await startReplica({
      name: "r1",
      models: MODELS,
      prefixCache: false,
      answerTokens: 100,
      keepRequests: 0,
    });
    const rules = [
      rule("strict", "strict", "closed"),
      rule("leased", "leased", "closed"),
      rule("open", "strict", "open"),
      rule("local", "strict", "local"),
    ];
    const common = { version, replica, service: server.grpcAddress, rules };
    gateway = await startServiceGateway({ ...common, concurrency: 2, spec: { protocol: "envoy" } });
    stranger = await startServiceGateway({ ...common, spec: { protocol: "envoy", domain: "unknown" } });
  });
  afterAll(async () => {
    await gateway?.stop();
    await stranger?.stop();
    await replica?.close();
    await server?.close();
    await redis?.stop();
  });

  const agents = new Set<ReturnType<typeof keepAlive>>();
  afterEach(() => {
    for (const agent of agents) agent.destroy();
    agents.clear();
  });

  /** Callers that go on asking until as many requests were answered otherwise than with 200. */
  async function load(team: string, callers: number): Promise<readonly Answered[]> {
    const agent = keepAlive();
    agents.add(agent);
    const answers: Answered[] = [];
    let refused = 0;
    const caller = async (): Promise<void> => {
      while (refused < callers) {
        const answer = await ask(gateway.url, team, body, { agent });
        if (answer.status !== 200) refused++;
        answers.push(answer);
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return answers;
  }

  test("strict: what was reserved is charged, so the limit is not exceeded", async () => {
    await windowAhead(HOUR, 20_000);
    const answers = await load("strict-1", 32);
    const admitted = withStatus(answers, 200);
    console.info(`Envoy ${version}, strict: ${admitted.length} admitted, ${tokens(admitted)} of ${LIMIT} used`);
    expect(withStatus(answers, 429).length).toBe(answers.length - admitted.length);
    expect(tokens(admitted)).toBeLessThanOrEqual(LIMIT);
    // A prompt may have been estimated at a token or two less than it took.
    expect(admitted.length).toBeGreaterThanOrEqual(Math.floor(LIMIT / RESERVED));
    expect(admitted.length).toBeLessThanOrEqual(Math.ceil(LIMIT / (RESERVED - 3)));
  });

  test("leased: what is granted is used up, and the limit is not exceeded", async () => {
    await windowAhead(HOUR, 20_000);
    const before = await gateway.calls();
    const answers = await load("leased-1", 8);
    const admitted = withStatus(answers, 200);
    const calls = await leaseCalls([gateway], before, withStatus(answers, 429).length);
    console.info(
      `Envoy ${version}, leased: ${admitted.length} admitted, ${tokens(admitted)} of ${LARGE} used, calls ${JSON.stringify(calls)}`,
    );
    expect(withStatus(answers, 429).length).toBe(answers.length - admitted.length);
    expect(tokens(admitted)).toBeLessThanOrEqual(LARGE);
    // What this service refuses is charged all the same: the last lease may be lost, and with it what was left of another one.
    expect(tokens(admitted)).toBeGreaterThan(LARGE - 2 * 0.05 * LARGE - RESERVED);
    expect(calls.lease + calls.reserve).toBeLessThan(admitted.length / 2);
  });

  test("a Redis that is killed and comes back: closed is closed, open is open, and it is used again", async () => {
    await windowAhead(HOUR, 20_000);
    const statuses = async (...teams: string[]): Promise<number[]> =>
      (await Promise.all(teams.map((team) => ask(gateway.url, team, body)))).map(({ status }) => status);
    const all = ["strict-2", "leased-2", "open-2", "local-2"];
    expect(await statuses(...all)).toEqual([200, 200, 200, 200]);
    await redis.kill();
    // leased-2 still has a lease.
    expect(await statuses(...all, "leased-3")).toEqual([503, 200, 200, 200, 503]);
    await redis.resume();
    const resumedAt = performance.now();
    // Each worker finds out for itself.
    const before = (await gateway.calls())["reserve ok"] ?? 0;
    const again = async (): Promise<boolean> => (await statuses(...all, "leased-3")).every((status) => status === 200);
    await waitFor(again, { timeoutMs: 20_000, what: "the service" });
    console.info(`Envoy ${version}: used again ${(performance.now() - resumedAt).toFixed(0)} ms after Redis was back`);
    await waitFor(async () => ((await gateway.calls())["reserve ok"] ?? 0) > before, { what: "the calls" });
  });

  test("a domain that it does not know: nothing is limited there, which is a failure", async () => {
    const statuses: number[] = [];
    const begun = performance.now();
    for (const name of ["strict", "leased", "open", "local"]) {
      statuses.push((await ask(stranger.url, `${name}-1`, body)).status);
      // Nobody waits for a lease: the next request could come before its answer.
      if (name !== "leased") continue;
      await waitFor(async () => (await stranger.calls())["lease failed"] === 1, { what: "the answer to the lease" });
    }
    expect(statuses).toEqual([503, 503, 200, 200]);
    // Of the leased rule both what the request needs and a lease are asked for. Then it is not asked any more, but for once in each second that a slow machine takes.
    const seconds = Math.floor((performance.now() - begun) / 1_000);
    await waitFor(async () => (await stranger.counted("decided_alone")) === 4, { what: "the counters" });
    const {
      "reserve failed": reserves = 0,
      "lease failed": leases = 0,
      "reserve skipped": skipped = 0,
      ...others
    } = await stranger.calls();
    expect(others).toEqual({});
    expect(reserves + leases).toBeGreaterThanOrEqual(3);
    expect(reserves + leases).toBeLessThanOrEqual(3 + seconds);
    expect(reserves + leases + skipped).toBe(5);
    // By itself it holds to the amount, too.
    const admitted = Math.floor(LIMIT / RESERVED);
    const flood = await Promise.all(Array.from({ length: admitted + 40 }, () => ask(stranger.url, "local-2", body)));
    expect(withStatus(flood, 200).length + withStatus(flood, 429).length).toBe(flood.length);
    expect(withStatus(flood, 429).length).toBeGreaterThan(0);
    expect(withStatus(flood, 200).length).toBeGreaterThanOrEqual(admitted);
    expect(withStatus(flood, 200).length * USED).toBeLessThanOrEqual(LIMIT);
  });
});
