import { readFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  staticBootstrap,
  versionsUnderTest,
  waitFor,
} from "../../../envoy/harness/index.ts";
import { type Binary, RedisServer, storeBinaries } from "../../../test/fixtures/redis-server.ts";
import { silentLogger } from "../../log.ts";
import type { BudgetView } from "./budget-admin.ts";
import { type LedgerOptions, parseLedgerConfig, type RunningLedger, startLedger } from "./index.ts";

/** The ledger behind Envoy's own rate limit filter, unchanged: what `docs/token-ledger.md` promises to users of envoyproxy/ratelimit. */

const stores: { readonly name: string; readonly binary: Binary }[] = [];
for (const store of storeBinaries()) {
  if ("reason" in store.binary) console.log(`skipped: two Envoys on one ${store.name}: ${store.binary.reason}`);
  else stores.push(store);
}

const TOKENS_PER_ANSWER = 30;
/** Months, so that no test runs across the end of a window (but for one minute a month). */
const CONFIG = `
domains:
  - name: llm
    descriptors:
      - name: tokens
        entries: [tenant]
        limits: [{amount: 100, per: month}]
      - name: requests
        entries: [path=/counted]
        limits: [{amount: 3, per: month}, {amount: 1000, per: hour, rolling: true}]
      - name: team
        entries: [team]
        limits: [{amount: 100, per: month}]
      - name: durable
        entries: [path=/durable, user]
        limits: [{amount: 1000000, per: month}]
      - name: parallel
        entries: [path=/parallel, user]
        limits: [{amount: 400, per: month}]
`;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

function get(address: string, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path, headers, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers }));
    });
    call.on("error", reject).end();
  });
}

const header = (name: string, key: string) => ({ request_headers: { header_name: name, descriptor_key: key } });

/** The filters of docs/token-ledger.md, as a reader copies them. */
function documented(): readonly [
  JsonObject,
  { name: string; typed_config: { rate_limits: JsonObject[] } & JsonObject },
] {
  const page = readFileSync(new URL("../../../docs/token-ledger.md", import.meta.url), "utf8");
  return parseYaml(/```yaml envoy\n([\s\S]*?)```/.exec(page)?.[1] ?? "");
}

/** Those filters, with further rate limits. @param more fields of the rate limit filter */
function filters(more: JsonObject, negativeHits: boolean): JsonObject[] {
  const [usage, { name, typed_config: rateLimit }] = documented();
  const asked = { actions: [header("x-tenant", "tenant")], hits_addend: { number: 0 } };
  const spent = {
    actions: [
      header("x-tenant", "tenant"),
      { generic_key: { descriptor_key: "tokenmesh.settle", descriptor_value: "true" } },
    ],
    apply_on_stream_done: true,
    hits_addend: { format: "%DYNAMIC_METADATA(llm:total)%" },
  };
  const returned = {
    actions: [header("x-return", "team")],
    apply_on_stream_done: true,
    hits_addend: { number: 25, is_negative_hits: true },
  };
  const further: JsonObject[] = [
    asked,
    spent,
    ...(negativeHits ? [returned] : []),
    { actions: [header("x-counted", "path")] },
    { actions: [header("x-parallel", "path"), header("x-user", "user")] },
  ];
  const rateLimits = [...rateLimit.rate_limits, ...further];
  return [usage, { name, typed_config: { ...rateLimit, ...more, rate_limits: rateLimits } }];
}

describe.each(versionsUnderTest())("Envoy's rate limit filter on the ledger, %s", (version) => {
  const hasNegativeHits = !/^1\.3[67]\./.test(version);
  let upstream: Server;
  let served = 0;
  /** Requests with x-slow are answered when the test releases them. */
  let release = () => {};
  let slow = Promise.resolve();
  const toStop: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    upstream = createServer(async (incoming, response) => {
      served++;
      if (incoming.headers["x-slow"] !== undefined) await slow;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ usage: { total_tokens: TOKENS_PER_ANSWER } }));
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => {
    upstream.close();
  });
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  async function ledger(options: Partial<LedgerOptions> = {}): Promise<RunningLedger> {
    const parsed = parseLedgerConfig("ledger.yaml", CONFIG);
    if (!parsed.ok) throw new Error("configuration");
    const running = await startLedger({ config: parsed.config, log: silentLogger, ...options });
    toStop.push(() => running.close());
    await waitFor(() => running.ready(), { what: "the ledger's store" });
    return running;
  }

  async function envoy(
    { grpcAddress }: RunningLedger,
    more: JsonObject = { failure_mode_deny: false },
  ): Promise<string> {
    const process = await EnvoyProcess.start({
      version,
      concurrency: 2,
      bootstrap: staticBootstrap({
        listeners: [
          httpListener({
            name: "main",
            routes: [{ cluster: "app" }],
            httpFilters: filters(more, hasNegativeHits),
          }),
        ],
        clusters: [
          cluster({ name: "app", targets: [(upstream.address() as AddressInfo).port] }),
          cluster({ name: "ledger", targets: [grpcAddress], http2: true }),
        ],
      }),
    });
    toStop.push(() => process.stop());
    return process.listenerAddress("main");
  }

  async function used({ adminAddress }: RunningLedger, ...entries: readonly string[]): Promise<number> {
    const query = new URLSearchParams({ domain: "llm" });
    for (const entry of entries) query.append("entry", entry);
    const response = await fetch(`http://${adminAddress}/budget?${query}`);
    const { limits } = (await response.json()) as BudgetView;
    return limits[0]?.used ?? Number.NaN;
  }

  it("charges tokens at the end of the stream, then answers 429, with Envoy's own headers", async () => {
    const running = await ledger();
    const address = await envoy(running);
    const before = served;
    for (const [sent, remaining] of [100, 70, 40, 10].entries()) {
      const { status, headers } = await get(address, "/v1", { "x-tenant": "acme" });
      expect(status).toBe(200);
      expect(headers).toMatchObject({
        "x-ratelimit-limit": expect.stringMatching(/^100, 100;w=\d+;name="tokens"$/),
        "x-ratelimit-remaining": String(remaining),
        "x-ratelimit-reset": expect.stringMatching(/^\d+$/),
      });
      const spent = TOKENS_PER_ANSWER * (sent + 1);
      await waitFor(async () => (await used(running, "tenant=acme")) === spent, { what: `${spent} tokens` });
    }
    const refused = await get(address, "/v1", { "x-tenant": "acme" });
    expect(refused.status).toBe(429);
    expect(refused.headers).toMatchObject({ "x-envoy-ratelimited": "true", "x-ratelimit-remaining": "0" });
    expect(served - before).toBe(4);
    expect((await get(address, "/v1", { "x-tenant": "other" })).status).toBe(200);
    // 120 of 100: the refused request cost nothing more.
    await waitFor(async () => (await used(running, "tenant=other")) === 30, { what: "the other tenant's tokens" });
    expect(await used(running, "tenant=acme")).toBe(120);
  });

  it("reserves before the request and settles at the end of the stream", async () => {
    const running = await ledger();
    const address = await envoy(running);
    const team = { "x-team": "red" };
    // Together: two reservations of 40 fit, the third does not, however little each will use.
    slow = new Promise((resolve) => {
      release = resolve;
    });
    const statuses: number[] = [];
    const ask = async () => statuses.push((await get(address, "/v1", { ...team, "x-slow": "1" })).status);
    const together = [ask(), ask(), ask()];
    await waitFor(() => statuses.length > 0, { what: "the refusal" });
    release();
    await Promise.all(together);
    expect(statuses.sort()).toEqual([200, 200, 429]);
    await waitFor(async () => (await used(running, "team=red")) === 60, { what: "the settlements" });
    expect((await get(address, "/v1", team)).status).toBe(200);
    await waitFor(async () => (await used(running, "team=red")) === 90, { what: "the third settlement" });
    expect((await get(address, "/v1", team)).status).toBe(429);
    if (!hasNegativeHits) return;
    await get(address, "/v1", { "x-return": "red" });
    await waitFor(async () => (await used(running, "team=red")) === 65, { what: "the refund" });
  });

  it("counts requests, reports the most constrained of several limits, and leaves unknown descriptors alone", async () => {
    const address = await envoy(await ledger());
    const answers: Answer[] = [];
    for (let n = 0; n < 4; n++) answers.push(await get(address, "/", { "x-counted": "/counted" }));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(answers.map(({ headers }) => headers["x-ratelimit-remaining"])).toEqual(["2", "1", "0", "0"]);
    expect(answers[0]?.headers["x-ratelimit-limit"]).toMatch(/^3, 3;w=\d+;name="requests"$/);
    expect((await get(address, "/", { "x-counted": "/free" })).status).toBe(200);
  });

  it.each(stores)("admits exactly the limit through two Envoys and two ledgers on one $name", async ({ binary }) => {
    const redis = await RedisServer.startBinary(binary);
    toStop.push(() => redis.stop());
    // A busy machine may take long, and a call that took too long would be counted and refused.
    const patient = () => ledger({ redis: { url: redis.url, timeoutMs: 5_000 } });
    const ledgers = [await patient(), await patient()];
    const more = { failure_mode_deny: true, timeout: "10s" };
    const addresses = await Promise.all(ledgers.map((each) => envoy(each, more)));
    const before = served;
    const statuses: number[] = [];
    let sent = 0;
    const caller = async (n: number) => {
      while (sent < 1_000) {
        sent++;
        const headers = { "x-parallel": "/parallel", "x-user": "u" };
        statuses.push((await get(addresses[n % 2] ?? "", "/", headers)).status);
      }
    };
    await Promise.all(Array.from({ length: 64 }, (_, n) => caller(n)));
    const count = (status: number) => statuses.filter((each) => each === status).length;
    expect([count(200), count(429), statuses.length]).toEqual([400, statuses.length - 400, statuses.length]);
    expect(served - before).toBe(400);
    for (const each of ledgers) expect(await used(each, "path=/parallel", "user=u")).toBe(400);
  });

  it.each(stores)(
    "keeps to Envoy's failure policy when $name dies under load, and charges nothing twice",
    async ({ binary }) => {
      const redis = await RedisServer.startBinary(binary, "--appendonly", "yes", "--appendfsync", "always");
      toStop.push(() => redis.stop());
      const running = await ledger({ redis: { url: redis.url } });
      const [closed, open] = [await envoy(running, { failure_mode_deny: true }), await envoy(running)];
      let over = false;
      /** Statuses of one Envoy's callers; `answered` counts those that carry the ledger's answer. */
      const load = (address: string, user: string) => {
        const counts = { ok: 0, answered: 0, failed: 0, other: 0 };
        const caller = async () => {
          while (!over) {
            const { status, headers } = await get(address, "/", { "x-parallel": "/durable", "x-user": user });
            if (status === 200) counts.ok++;
            else if (status === 500) counts.failed++;
            else counts.other++;
            if (headers["x-ratelimit-remaining"] !== undefined) counts.answered++;
          }
        };
        return { counts, done: Promise.all(Array.from({ length: 16 }, caller)) };
      };
      const loads = [load(closed, "closed"), load(open, "open")] as const;
      const [{ counts: deny }, { counts: allow }] = loads;
      const progress = (what: string, condition: () => boolean) => waitFor(condition, { timeoutMs: 20_000, what });
      await progress("load", () => deny.answered > 200 && allow.answered > 200);
      await redis.kill();
      await progress("the loss", () => !running.ready() && deny.failed > 20);
      const during = { deny: { ...deny }, allow: { ...allow } };
      await progress(
        "requests without Redis",
        () => deny.failed > during.deny.failed + 200 && allow.ok > during.allow.ok + 200,
      );
      // What was under way when the count was taken may still have been answered: at most one request per caller.
      expect(deny.ok - during.deny.ok).toBeLessThanOrEqual(16);
      expect(allow.answered - during.allow.answered).toBeLessThanOrEqual(16);
      await redis.resume();
      const after = { deny: { ...deny }, allow: { ...allow } };
      await progress(
        "load after the restart",
        () => deny.answered > after.deny.answered + 200 && allow.answered > after.allow.answered + 200,
      );
      over = true;
      await Promise.all(loads.map(({ done }) => done));
      expect([deny.other, allow.other, allow.failed]).toEqual([0, 0, 0]);
      for (const [user, { answered }] of [
        ["closed", deny],
        ["open", allow],
      ] as const) {
        const charged = await used(running, "path=/durable", `user=${user}`);
        // Charged, and the answer lost with the connection: at most what was under way at the kill.
        expect(charged).toBeGreaterThanOrEqual(answered);
        expect(charged).toBeLessThanOrEqual(answered + 16);
      }
    },
  );
});
