/** The limiter while the service is away: each rule says what becomes of requests, none of them hangs, and afterwards nothing was charged twice. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { type Replica, startReplica, TIMING_PROFILES } from "../../envoy/replica/index.ts";
import { RedisServer, redisBinary } from "../fixtures/redis-server.ts";
import {
  type Answered,
  ask,
  HOUR,
  keepAlive,
  type ServiceGateway,
  startServiceGateway,
  windowAhead,
  withStatus,
} from "./rate-limit-service-gateway.ts";
import {
  buildCommand,
  type LedgerProcess,
  type StallingProxy,
  startLedgerProcess,
  startStallingProxy,
} from "./rate-limit-service-parts.ts";
import { chatBody, MODELS } from "./rate-limit-traffic.ts";

/** Reserved for every answer, and what it takes of that. */
const RESERVED = 1_000;
const USED = 24;
/** Of the rule that holds requests to the budget of its Envoy. */
const ALONE = 100;
/** Of each rule. */
const CALLERS = 8;

const key = [{ header: "x-team" }];
const rule = (onFailure: string) => ({
  ...{ name: onFailure, match: { headers: [{ name: "x-team", prefix: onFailure }] }, key, mode: "strict", onFailure },
  limits: [
    onFailure === "local"
      ? { unit: "requests", amount: ALONE, per: "hour" }
      : { unit: "completionTokens", amount: 1_000_000_000, per: "hour" },
  ],
});
const rules = ["closed", "open", "local"].map(rule);
const body = chatBody(0, RESERVED);

const found = redisBinary();
const noRedis = "reason" in found ? found.reason : "";
if (noRedis !== "") console.log(`skipped: a Redis that is killed: ${noRedis}`);

const agents = new Set<ReturnType<typeof keepAlive>>();
afterEach(() => {
  for (const agent of agents) agent.destroy();
  agents.clear();
});

function connections(): ReturnType<typeof keepAlive> {
  const agent = keepAlive();
  agents.add(agent);
  return agent;
}

const usedOf = (ledger: LedgerProcess, team: string): Promise<number> => {
  const [name] = team.split("-");
  return ledger.used(
    `rule=${name}`,
    `limit=${name === "local" ? "requests" : "completionTokens"}/hour`,
    `x-team=${team}`,
  );
};

/** What the service has said yes to: such an answer says what is left. */
const held = (answers: readonly Answered[]): Answered[] =>
  answers.filter(({ status, headers }) => status === 200 && headers["x-ratelimit-limit-tokens"] !== undefined);

const completions = (answers: readonly Answered[]): number =>
  answers.reduce((sum, { completion }) => sum + completion, 0);

const isUnavailable = ({ status, code, headers }: Answered): boolean =>
  status === 503 && code === "rate_limit_unavailable" && headers["retry-after"] === "1";

/** Callers that go on asking. */
function load(gateway: ServiceGateway, team: string) {
  const agent = connections();
  const answers: Answered[] = [];
  let over = false;
  const caller = async (): Promise<void> => {
    while (!over) answers.push(await ask(gateway.url, team, body, { agent }));
  };
  const done = Promise.all(Array.from({ length: CALLERS }, caller));
  // A test that fails does not wait for it.
  done.catch(() => {});
  const more = (count: number, what: string, counts: (answer: Answered) => boolean) => {
    const from = answers.length;
    const enough = () => answers.slice(from).filter(counts).length >= count;
    return waitFor(enough, { timeoutMs: 20_000, what: `${count} answers of ${team} ${what}` });
  };
  const end = async (): Promise<readonly Answered[]> => {
    over = true;
    await done;
    return answers;
  };
  return { more, end };
}

/** As many requests at the same time. */
function wave({ url }: ServiceGateway, team: string, count: number): Promise<readonly Answered[]> {
  const agent = connections();
  return Promise.all(Array.from({ length: count }, () => ask(url, team, body, { agent })));
}

/**
 * Waits until all that was used is told, which is when only whole reservations are left above it: those whose answers were lost. Returns how many.
 */
async function lostAtLast(ledger: LedgerProcess, team: string, used: number): Promise<number> {
  let charged = 0;
  const told = async (): Promise<boolean> => {
    charged = await usedOf(ledger, team);
    return charged >= used && (charged - used) % RESERVED === 0 && charged - used < RESERVED * 100;
  };
  await waitFor(told, { timeoutMs: 15_000, what: `all that ${team} has used` }).catch((error: Error) => {
    throw new Error(`${error.message}: ${charged} charged, ${used} used`);
  });
  return (charged - used) / RESERVED;
}

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let replica: Replica;

  beforeAll(async () => {
    buildCommand();
    const timing = { ...TIMING_PROFILES.instant, iterationMs: 1 };
    const options = { name: "r1", models: MODELS, prefixCache: false, answerTokens: USED, keepRequests: 0 };
    replica = await startReplica({ ...options, timing });
  });
  afterAll(() => replica?.close());

  describe.skipIf(noRedis !== "")("a crash under load", () => {
    let redis: RedisServer;
    let ledger: LedgerProcess;
    let gateway: ServiceGateway;

    beforeAll(async () => {
      redis = await RedisServer.start("--appendonly", "yes", "--appendfsync", "always");
      ledger = await startLedgerProcess({ redis: redis.url });
      gateway = await startServiceGateway({ version, replica, service: ledger.grpcAddress, rules, concurrency: 2 });
    });
    afterAll(async () => {
      await gateway?.stop();
      await ledger?.close();
      await redis?.stop();
    });

    const crashes = [
      ["Redis", () => redis],
      ["the ledger", () => ledger],
    ] as const;

    test.each(crashes)(
      "of %s: every policy holds, it is used again, and nothing is charged twice",
      async (what, of) => {
        await windowAhead(HOUR, 40_000);
        const suffix = what.replace(" ", "-");
        const closed = load(gateway, `closed-${suffix}`);
        const open = load(gateway, `open-${suffix}`);
        const local = `local-${suffix}`;
        const isOk = ({ status }: Answered): boolean => status === 200;
        const both = (count: number) =>
          Promise.all([closed.more(count, "before", isOk), open.more(count, "before", isOk)]);
        await both(50);
        expect(withStatus(await wave(gateway, local, 20), 200).length).toBe(20);
        expect(await usedOf(ledger, local)).toBe(20);

        await of().kill();
        await closed.more(50, "while it is away", isUnavailable);
        await open.more(50, "while it is away", (answer) => isOk(answer) && held([answer]).length === 0);
        const alone = [...(await wave(gateway, local, ALONE)), ...(await wave(gateway, local, 20))];
        expect(withStatus(alone, 200).length).toBe(ALONE);
        expect(withStatus(alone, 429).every(({ headers }) => Number(headers["retry-after"]) > 0)).toBe(true);

        await of().resume();
        const resumedAt = performance.now();
        await closed.more(1, "afterwards", isOk);
        const recovery = performance.now() - resumedAt;
        await both(50);
        await open.more(50, "that the service has reserved for", (answer) => held([answer]).length > 0);
        const again = await waitFor(async () => withStatus(await wave(gateway, local, 1), 200).length, {
          what: "the local rule",
        });

        const refused = withStatus(await closed.end(), 503);
        expect(refused.length).toBe(refused.filter(isUnavailable).length);
        expect(withStatus(await closed.end(), 200).length).toBe((await closed.end()).length - refused.length);
        expect(withStatus(await open.end(), 200).length).toBe((await open.end()).length);
        const lost: number[] = [];
        for (const [team, answers] of [
          [`closed-${suffix}`, withStatus(await closed.end(), 200)],
          [`open-${suffix}`, held(await open.end())],
        ] as const) {
          lost.push(await lostAtLast(ledger, team, completions(answers)));
        }
        console.info(
          `Envoy ${version}, ${what} killed: ${refused.length} refused, used again ${recovery.toFixed(0)} ms after it was back, ` +
            `reservations lost: ${lost.join(" and ")}, calls ${JSON.stringify(await gateway.calls())}`,
        );
        // Charged, and the answer lost with the connection: at most what was under way.
        for (const count of lost) expect(count).toBeLessThanOrEqual(CALLERS);
        expect(await usedOf(ledger, local)).toBe(20 + again);
        expect(await gateway.counted("settles_lost")).toBe(0);
      },
    );
  });

  describe("a network that keeps what it should carry", () => {
    let ledger: LedgerProcess;
    let proxy: StallingProxy;
    let gateway: ServiceGateway;

    beforeAll(async () => {
      ledger = await startLedgerProcess();
      proxy = await startStallingProxy(ledger.grpcAddress);
      const spec = { timeoutMs: 200 };
      gateway = await startServiceGateway({ version, replica, service: proxy.address, rules, spec });
    });
    afterAll(async () => {
      await gateway?.stop();
      await proxy?.close();
      await ledger?.close();
    });

    const counts = async (...names: readonly string[]): Promise<number> => {
      const calls = await gateway.calls();
      return names.reduce((sum, name) => sum + (calls[name] ?? 0), 0);
    };

    /** The service is asked again, and answers. A busy machine may miss the time once or twice. */
    const passes = (team: string) =>
      waitFor(
        async () => {
          const answer = await ask(gateway.url, team, body);
          return held([answer]).length > 0;
        },
        { what: "an answer of the service" },
      );

    test("requests: every one is answered, the first after the time, the others at once; then it is asked again", async () => {
      await passes("closed-warm");
      proxy.stall("requests");
      const before = await counts("reserve failed", "reserve skipped");
      const first = [];
      for (const policy of ["closed", "open", "local"]) first.push(await ask(gateway.url, `${policy}-kept`, body));
      expect(first.map(({ status }) => status)).toEqual([503, 200, 200]);
      await waitFor(async () => (await gateway.counted("service_up")) === 0, { what: "the gauge" });
      // From now on one request waits each second, to find out whether the service is back.
      const failures = await counts("reserve failed");
      expect(failures).toBeGreaterThanOrEqual(3);
      const beganAt = performance.now();
      const flood = load(gateway, "closed-kept");
      const triedAgain = async (): Promise<boolean> => (await counts("reserve failed")) >= failures + 2;
      await waitFor(triedAgain, { what: "requests that try it" });
      const others = await flood.end();
      const seconds = (performance.now() - beganAt) / 1_000;
      expect(others.filter(isUnavailable).length).toBe(others.length);
      const all = async () => (await counts("reserve failed", "reserve skipped")) - before;
      await waitFor(async () => (await all()) === first.length + others.length, {
        what: "all of them in the counters",
      });
      const waited = (await counts("reserve failed")) - failures;
      console.info(
        `Envoy ${version}, requests kept: of ${others.length} requests in ${seconds.toFixed(1)} s ${waited} waited`,
      );
      expect(waited).toBeLessThanOrEqual(Math.ceil(seconds) + 1);
      const answered = await counts("reserve ok");
      proxy.stall("nothing");
      await passes("closed-kept");
      await waitFor(async () => (await counts("reserve ok")) > answered, { what: "the counters" });
      expect(await gateway.counted("service_up")).toBe(1);
    });

    test("answers: what was reserved in vain stays charged, and what was used is charged once", async () => {
      const team = "closed-answers";
      await windowAhead(HOUR, 30_000);
      await passes("open-warm");
      // A stream of 900 tokens that ends while nothing comes back: what it used is told in vain at first.
      const stream = chatBody(0, 900, { max_output_tokens: RESERVED, ignore_eos: true });
      const running = ask(gateway.url, team, stream);
      await waitFor(() => replica.stats().running > 0, { what: "the stream" });
      proxy.stall("answers");
      const refused = [await ask(gateway.url, team, body), await ask(gateway.url, team, body)];
      expect(refused.every(isUnavailable)).toBe(true);
      const { completion } = await running;
      expect(completion).toBe(900);
      const lost = await lostAtLast(ledger, team, completion);
      expect(lost).toBeGreaterThanOrEqual(1);
      expect(lost).toBeLessThanOrEqual(refused.length);
      proxy.stall("nothing");
      await passes("open-after");
      await waitFor(async () => (await ledger.counted("replays_total")) > 0, { what: "what was told again" });
      expect(await usedOf(ledger, team)).toBe(completion + lost * RESERVED);
      expect(await gateway.counted("settles_lost")).toBe(0);
    });
  });
});
