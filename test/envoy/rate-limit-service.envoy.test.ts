/** Budgets that several workers and several Envoys share through the token ledger: filled, and not exceeded by a token, whoever asks at the same time. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type JsonObject, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { type Replica, startReplica, TIMING_PROFILES } from "../../envoy/replica/index.ts";
import { RedisServer, redisBinary } from "../fixtures/redis-server.ts";
import {
  type Answered,
  ask,
  callsOf,
  HOUR,
  keepAlive,
  leaseCalls,
  MINUTE,
  type ServiceGateway,
  startServiceGateway,
  tokens,
  windowAhead,
  withStatus,
} from "./rate-limit-service-gateway.ts";
import { buildCommand, type LedgerProcess, startLedgerProcess } from "./rate-limit-service-parts.ts";
import { chatBody, MODELS } from "./rate-limit-traffic.ts";

const LIMIT = 100_000;
const CALLERS = 64;
/** What every answer takes: less than the requests say, so none takes more than it has reserved. */
const ANSWER = 120;
/** The least that is reserved for an answer. */
const LEAST = 150;
/** Bytes of the prompts, which are about 252 tokens. */
const PROMPT = 1_000;
/** The most that a request reserves in the end; what a filled window may have left. */
const LAST = 260 + LEAST;
/** One token each 2 ms: streams that begin together run together. */
const PACED = { ...TIMING_PROFILES.instant, iterationMs: 2 };

const found = redisBinary();
const noRedis = "reason" in found ? found.reason : "";
if (noRedis !== "") console.log(`skipped: budgets that Envoys share: ${noRedis}`);

const key = [{ header: "x-team" }];
const team = (prefix: string) => ({ headers: [{ name: "x-team", prefix }] });
const limits = (per: string): JsonObject[] => [{ unit: "tokens", amount: LIMIT, per }];
const rule = (name: string, mode: string, per = "hour"): JsonObject => ({
  ...{ name, match: team(name), key, mode, onFailure: "closed", limits: limits(per) },
});

/** Every other one is a stream. */
const streams = (n: number) => (n % 2 === 0 ? {} : { stream: false });
const chats =
  (max: number) =>
  (n: number): string =>
    chatBody(PROMPT, max, streams(n));
/** About 52 tokens of prompt, 50 reserved for the answer and 40 used. */
const small = (n: number): string => chatBody(200, 40, { max_output_tokens: 50, ...streams(n) });

describe.skipIf(noRedis !== "").each(versionsUnderTest())("Envoy %s", (version) => {
  let replica: Replica;
  let redis: RedisServer;
  const ledgers: LedgerProcess[] = [];
  const gateways: ServiceGateway[] = [];

  beforeAll(async () => {
    buildCommand();
    redis = await RedisServer.start();
    const options = { name: "r1", models: MODELS, prefixCache: false, answerTokens: ANSWER, keepRequests: 0 };
    replica = await startReplica({ ...options, timing: PACED });
    for (let i = 0; i < 2; i++) ledgers.push(await startLedgerProcess({ redis: redis.url }));
    // Two Envoys with a ledger each.
    const rules = [rule("minute", "strict", "minute"), rule("strict", "strict"), rule("leased", "leased")];
    for (const [index, { grpcAddress }] of ledgers.entries()) {
      const concurrency = index === 0 ? 4 : 1;
      gateways.push(await startServiceGateway({ version, replica, service: grpcAddress, rules, concurrency }));
    }
  });
  afterAll(async () => {
    for (const gateway of gateways.splice(0)) await gateway.stop();
    for (const ledger of ledgers.splice(0)) await ledger.close();
    await replica?.close();
    await redis?.stop();
  });

  const agents = new Set<ReturnType<typeof keepAlive>>();
  afterEach(() => {
    for (const agent of agents) agent.destroy();
    agents.clear();
  });

  /** Callers that go on asking, each of one Envoy, until as many requests were refused. */
  async function load(
    through: readonly ServiceGateway[],
    name: string,
    body: (n: number) => string,
    callers = CALLERS,
  ): Promise<readonly Answered[]> {
    const agent = keepAlive();
    agents.add(agent);
    const answers: Answered[] = [];
    let sent = 0;
    let refused = 0;
    const caller = async (index: number): Promise<void> => {
      const { url } = through[index % through.length] as ServiceGateway;
      while (refused < callers) {
        const answer = await ask(url, name, body(sent++), { agent });
        if (answer.status === 429) refused++;
        answers.push(answer);
      }
    };
    await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)));
    expect(withStatus(answers, 200).length + withStatus(answers, 429).length).toBe(answers.length);
    return answers;
  }

  const usedOf = (ledger: LedgerProcess | undefined, name: string, per = "hour"): Promise<number> =>
    ledger?.used(`rule=${name.split("-")[0]}`, `limit=tokens/${per}`, `x-team=${name}`) ?? Promise.reject();

  /** What requests used is told with the next call, or on a tick. */
  const settled = (ledger: LedgerProcess | undefined, name: string, expected: number, per?: string) =>
    waitFor(async () => (await usedOf(ledger, name, per)) === expected, {
      what: `${expected} tokens used by ${name}`,
    }).catch(async (error: Error) => {
      throw new Error(`${error.message}; there are ${await usedOf(ledger, name, per)}`);
    });

  const fill = async (through: readonly ServiceGateway[], name: string, per: string) => {
    let used = 0;
    const admitted: number[] = [];
    for (const [max, callers] of [
      [1_000, CALLERS],
      [LEAST, CALLERS],
      [LEAST, 1],
    ] as const) {
      const answers = await load(through, name, chats(max), callers);
      used += tokens(answers);
      admitted.push(withStatus(answers, 200).length);
      await settled(ledgers[0], name, used, per);
    }
    return { used, admitted };
  };

  test("strict, four workers, 64 callers: 100,000 tokens a minute are filled, and not exceeded by a token", async () => {
    await windowAhead(MINUTE, 15_000);
    const { used, admitted } = await fill(gateways.slice(0, 1), "minute-1", "minute");
    console.info(`Envoy ${version}, strict: ${admitted.join(" + ")} admitted, ${used} of ${LIMIT} used`);
    expect(used).toBeLessThanOrEqual(LIMIT);
    expect(used).toBeGreaterThan(LIMIT - LAST);
    const connections = await gateways[0]?.envoy.admin.stats("worker_.*downstream_cx_total");
    expect([...(connections ?? [])].filter(([, count]) => count > 0).length).toBeGreaterThanOrEqual(3);
  });

  test("strict, two Envoys with a ledger each on one Redis: the same", async () => {
    await windowAhead(HOUR, 30_000);
    const before = await callsOf(gateways);
    const { used, admitted } = await fill(gateways, "strict-1", "hour");
    console.info(`Envoy ${version}, strict, two Envoys: ${admitted.join(" + ")} admitted, ${used} of ${LIMIT} used`);
    expect(used).toBeLessThanOrEqual(LIMIT);
    expect(used).toBeGreaterThan(LIMIT - LAST);
    for (const ledger of ledgers) expect(await usedOf(ledger, "strict-1")).toBe(used);
    const after = await callsOf(gateways);
    expect(after["reserve failed"] ?? 0).toBe(before["reserve failed"] ?? 0);
    expect(after["settle failed"] ?? 0).toBe(before["settle failed"] ?? 0);
  });

  test("leased, two Envoys: never more than the limit, with few calls, and little is left unused", async () => {
    await windowAhead(HOUR, 30_000);
    const before = await callsOf(gateways);
    const answers = await load(gateways, "leased-1", small);
    const [used, admitted] = [tokens(answers), withStatus(answers, 200).length];
    const granted = await usedOf(ledgers[1], "leased-1");
    const calls = await leaseCalls(gateways, before, withStatus(answers, 429).length);
    console.info(
      `Envoy ${version}, leased, two Envoys: ${admitted} of ${answers.length} requests admitted, ${used} used, ${granted} granted, ` +
        `calls ${JSON.stringify(calls)}`,
    );
    expect(granted).toBeLessThanOrEqual(LIMIT);
    expect(used).toBeLessThanOrEqual(granted);
    expect(LIMIT - used).toBeLessThanOrEqual(gateways.length * 0.05 * LIMIT + 102);
    // 64 callers come at once, before there is a lease.
    expect(calls.lease + calls.reserve - CALLERS).toBeLessThan(admitted / 4);
  });
});
