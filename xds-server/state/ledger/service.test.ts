import { request } from "node:http";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { type Call, shouldRateLimit } from "../../../test/fixtures/rate-limit-call.ts";
import { RedisServer, redisBinary } from "../../../test/fixtures/redis-server.ts";
import { silentLogger } from "../../log.ts";
import type { AuditEntry } from "./budget-admin.ts";
import { LEDGER_ERRORS } from "./errors.ts";
import { type LedgerOptions, parseLedgerConfig, type RunningLedger, startLedger } from "./index.ts";
import { SERVICE_PATH } from "./protocol.ts";
import { HEALTH_PATH } from "./rls-server.ts";

/** The whole service over gRPC and HTTP, against a client that is not Envoy. */

const CONFIG = `
domains:
  - name: llm
    descriptors:
      - name: tenant
        entries: [tenant]
        limits: [{amount: 100, per: month}, {amount: 80, per: hour, rolling: true}]
      - {name: key, entries: [key], secret: [key], limits: [{amount: 100, per: day}]}
  - {name: tokenmesh, override: true}
`;

const binary = redisBinary();
const hasRedis = "path" in binary;
if (!hasRedis) console.log(`skipped: the ledger without its Redis: ${binary.reason}`);

const pass = (bytes: Buffer): Buffer => bytes;

/** A RateLimitRequest by hand: 0a domain, 12 descriptor {0a entry {0a key, 12 value}}, 18 hits. */
function requestBytes(domain: string, entries: Readonly<Record<string, string>>, hits: number): Buffer {
  const field = (tag: number, bytes: Buffer) => Buffer.concat([Buffer.from([tag, bytes.length]), bytes]);
  const list = Object.entries(entries).map(([key, value]) =>
    field(0x0a, Buffer.concat([field(0x0a, Buffer.from(key)), field(0x12, Buffer.from(value))])),
  );
  return Buffer.concat([field(0x0a, Buffer.from(domain)), field(0x12, Buffer.concat(list)), Buffer.from([0x18, hits])]);
}

/** A call that brings its limit, per minute. */
const overridden = (entries: Readonly<Record<string, string>>, hits: number, amount: number): Call => ({
  domain: "tokenmesh",
  descriptors: [{ entries: Object.entries(entries), hits, limit: { amount, unit: 2 } }],
});

describe("token ledger as a service", () => {
  const now = Date.parse("2026-11-21T10:00:00Z");
  const toStop: (() => Promise<void> | void)[] = [];
  const audited: AuditEntry[] = [];
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
    audited.length = 0;
  });

  async function start(options: Partial<LedgerOptions> = {}): Promise<RunningLedger> {
    const parsed = parseLedgerConfig("a.yaml", CONFIG);
    if (!parsed.ok) throw new Error("configuration");
    const audit = (entry: AuditEntry) => audited.push(entry);
    const running = await startLedger({ config: parsed.config, log: silentLogger, audit, now: () => now, ...options });
    toStop.push(() => running.close());
    return running;
  }

  function call({ grpcAddress }: RunningLedger, path: string, bytes: Buffer): Promise<Buffer> {
    const client = new Client(grpcAddress, credentials.createInsecure());
    toStop.push(() => client.close());
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, pass, pass, bytes, new Metadata(), (error, answer) => {
        if (error === null) resolve(answer ?? Buffer.alloc(0));
        else reject(error);
      });
    });
  }
  const limit = (running: RunningLedger, bytes: Buffer) => call(running, SERVICE_PATH, bytes);
  const codeOf = async (answer: Promise<Buffer>) => (await answer)[1];

  interface HttpOptions {
    readonly body?: unknown;
    readonly headers?: Record<string, string>;
    readonly method?: string;
  }
  async function http({ adminAddress }: RunningLedger, path: string, { body, headers = {}, method }: HttpOptions = {}) {
    const response = await fetch(`http://${adminAddress}${path}`, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers,
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : text,
    };
  }

  it("answers over gRPC, and shows, changes and audits budgets over HTTP", async () => {
    const running = await start();
    expect(await codeOf(limit(running, requestBytes("llm", { tenant: "acme" }, 70)))).toBe(1);
    expect(await codeOf(limit(running, requestBytes("llm", { tenant: "acme" }, 70)))).toBe(2);
    const budget = "/budget?domain=llm&entry=tenant%3Dacme";
    const common = { timeZone: "Z", shadow: false, override: false };
    const shown = {
      domain: "llm",
      descriptor: "tenant",
      entries: [["tenant", "acme"]],
      limits: [
        {
          ...common,
          amount: 100,
          per: "month",
          rolling: false,
          used: 70,
          remaining: 30,
          resetsAt: "2026-12-01T00:00:00.000Z",
        },
        {
          ...common,
          amount: 80,
          per: "hour",
          rolling: true,
          used: 70,
          remaining: 10,
          resetsAt: "2026-11-21T11:03:45.000Z",
        },
      ],
    };
    expect(await http(running, budget)).toEqual({ status: 200, body: shown });
    const address = { domain: "llm", entries: [["tenant", "acme"]] };
    const who = { headers: { "x-tokenmesh-who": "ada" } };
    const uses = ({ body }: { body: unknown }) => (body as typeof shown).limits.map(({ used }) => used);
    expect(uses(await http(running, "/budget", { ...who, body: { ...address, action: "add", amount: 90 } }))).toEqual([
      -20, -20,
    ]);
    expect(
      uses(await http(running, "/budget", { body: { ...address, action: "set", used: 99, per: "month" } })),
    ).toEqual([99]);
    expect(await codeOf(limit(running, requestBytes("llm", { tenant: "acme" }, 2)))).toBe(2);
    expect(uses(await http(running, "/budget", { body: { ...address, action: "reset" } }))).toEqual([0, 0]);
    expect(await codeOf(limit(running, requestBytes("llm", { tenant: "acme" }, 2)))).toBe(1);
    expect(
      audited.map(({ who, change, before, after }) => [
        who,
        change.action,
        uses({ body: before }),
        uses({ body: after }),
      ]),
    ).toEqual([
      ["ada", "add", [70, 70], [-20, -20]],
      ["unknown", "set", [-20], [99]],
      ["unknown", "reset", [99, -20], [0, 0]],
    ]);
    expect(audited[0]).toMatchObject({ time: "2026-11-21T10:00:00.000Z", from: "127.0.0.1" });
    expect((await http(running, "/budgets?domain=llm")).body).toEqual({ budgets: [[["tenant", "acme"]]] });
    expect((await http(running, "/usage?domain=llm")).body).toEqual({
      usage: [{ descriptor: "tenant", entries: [["tenant", "acme"]], model: "", hits: 72, requests: 2 }],
    });
    expect((await http(running, "/usage?domain=llm&day=2026-11-20")).body).toEqual({ usage: [] });
  });

  it("has metrics of what it answered, refused and did not know", async () => {
    const running = await start();
    await limit(running, requestBytes("llm", { tenant: "a" }, 60));
    await limit(running, requestBytes("llm", { tenant: "a" }, 60));
    await limit(running, requestBytes("llm", { other: "a" }, 60));
    await limit(running, requestBytes("elsewhere", { tenant: "a" }, 60));
    for (const team of ["a", "b", "b"]) {
      await shouldRateLimit(running.grpcAddress, overridden({ rule: "team", "x-team": team }, 8, 10));
    }
    await expect(limit(running, Buffer.from("12ff", "hex"))).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    // Looking counts nothing.
    await http(running, "/metrics");
    const { body } = await http(running, "/metrics");
    for (const line of [
      'tokenmesh_ledger_requests_total{domain="llm",code="ok"} 2',
      'tokenmesh_ledger_requests_total{domain="llm",code="over_limit"} 1',
      'tokenmesh_ledger_requests_total{domain="unknown",code="ok"} 1',
      'tokenmesh_ledger_hits_total{domain="llm",descriptor="tenant",mode="reserve"} 60',
      'tokenmesh_ledger_over_limit_total{domain="llm",descriptor="tenant"} 1',
      'tokenmesh_ledger_unrecorded_hits_total{domain="llm",descriptor="tenant"} 60',
      'tokenmesh_ledger_hits_total{domain="tokenmesh",descriptor="override",mode="reserve"} 16',
      'tokenmesh_ledger_over_limit_total{domain="tokenmesh",descriptor="override"} 1',
      'tokenmesh_ledger_unmatched_total{domain="llm"} 1',
      'tokenmesh_ledger_unmatched_total{domain="unknown"} 1',
      'tokenmesh_ledger_errors_total{reason="malformed"} 1',
      "tokenmesh_ledger_store_up 1",
      "tokenmesh_ledger_keys 3",
      "tokenmesh_ledger_store_seconds_count 7",
    ]) {
      expect(body).toContain(line);
    }
    // Entries come from requests: they are no labels.
    expect(body).not.toMatch(/x-team|rule/);
  });

  it("warns once where hits that came after a question were refused", async () => {
    const lines: string[] = [];
    const running = await start({ log: (level, message) => lines.push(`${level} ${message}`) });
    // 22 00: hits_addend of the descriptor, a UInt64Value of 0.
    const question = requestBytes("llm", { tenant: "w" }, 1);
    const asked = Buffer.concat([
      question.subarray(0, 5),
      Buffer.from([0x12, (question[6] ?? 0) + 2]),
      question.subarray(7, -2),
      Buffer.from([0x1a, 0x00]),
    ]);
    expect(await codeOf(limit(running, asked))).toBe(1);
    for (const hits of [60, 60, 60]) await limit(running, requestBytes("llm", { tenant: "w" }, hits));
    // One rule asks and another is refused: they share a name, and nothing is wrong.
    for (const [rule, hits] of Object.entries({ asks: 0, spends: 8 })) {
      for (let n = 0; n < 2; n++) await shouldRateLimit(running.grpcAddress, overridden({ rule }, hits, 10));
    }
    expect(lines.filter((line) => line.startsWith("warn"))).toEqual([
      "warn hits that came after a question without hits were refused and are not charged",
    ]);
  });

  it("takes a new configuration without forgetting what was used", async () => {
    const running = await start();
    await limit(running, requestBytes("llm", { tenant: "a" }, 60));
    const parsed = parseLedgerConfig(
      "b.yaml",
      CONFIG.replace("amount: 80", "amount: 120").replace("amount: 100", "amount: 1000"),
    );
    if (!parsed.ok) throw new Error("configuration");
    running.reconfigure(parsed.config);
    expect(await codeOf(limit(running, requestBytes("llm", { tenant: "a" }, 60)))).toBe(1);
    expect(await codeOf(limit(running, requestBytes("llm", { tenant: "a" }, 1)))).toBe(2);
  });

  it("says what is wrong with a request to the admin API, and what to do", async () => {
    const running = await start();
    const error = async (path: string, options?: HttpOptions) => {
      const { status: code, body } = await http(running, path, options);
      return [code, ((body as Record<string, unknown>).error as { code: string; remedy: string }).code];
    };
    const address = { domain: "llm", entries: [["tenant", "a"]] };
    expect(await error("/nowhere")).toEqual([404, "not_found"]);
    expect(await error("/__proto__")).toEqual([404, "not_found"]);
    expect(await error("/usage?domain=llm", { method: "DELETE" })).toEqual([405, "method_not_allowed"]);
    expect(await error("/budget?domain=nowhere&entry=a=b")).toEqual([404, "unknown_domain"]);
    expect(await error("/budget?domain=llm&entry=a=b")).toEqual([404, "no_such_budget"]);
    expect(await error("/budget?domain=llm&entry=tenant=a&per=day")).toEqual([404, "no_such_limit"]);
    expect(await error("/budget?domain=llm&entry=tenant")).toEqual([400, "invalid_body"]);
    expect(await error("/budget?entry=tenant=a")).toEqual([400, "invalid_body"]);
    expect(await error("/usage?domain=llm&day=today")).toEqual([400, "invalid_body"]);
    for (const body of [
      "{",
      "[]",
      { ...address, action: "drop" },
      { ...address, action: "add" },
      { ...address, action: "set", used: -1 },
      { ...address, action: "set", used: 1e16 },
      { ...address, entries: [["tenant"]], action: "reset" },
    ]) {
      expect(await error("/budget", { body }), JSON.stringify(body)).toEqual([400, "invalid_body"]);
    }
    expect(await error("/budget", { body: "x".repeat(70_000) })).toEqual([413, "body_too_large"]);
    expect(
      await error("/budget", { body: { ...address, action: "reset" }, headers: { origin: "http://evil.test" } }),
    ).toEqual([403, "cross_site"]);
    expect(audited).toEqual([]);
    const { body } = await http(running, "/budget?domain=llm&entry=a=b");
    expect(body).toMatchObject({ error: { remedy: LEDGER_ERRORS.no_such_budget.remedy } });
  });

  it("listens beyond loopback only with a token, and not to names that browsers may be sent to", async () => {
    await expect(start({ admin: "0.0.0.0:0" })).rejects.toThrow(/TM_USAGE .*TOKENMESH_LEDGER_TOKEN/);
    const { adminAddress } = await start();
    const [host = "", port] = adminAddress.split(":");
    const statusOf = (name: string) =>
      new Promise((resolve, reject) => {
        const headers = { host: `${name}:${port}` };
        request({ host, port, path: "/usage?domain=llm", headers }, (response) => {
          response.resume();
          resolve(response.statusCode);
        })
          .on("error", reject)
          .end();
      });
    expect(await statusOf("evil.test")).toBe(403);
    expect(await statusOf("localhost")).toBe(200);
  });

  it("asks for the token where there is one, but not for health and metrics", async () => {
    const running = await start({ token: "s3cret" });
    const statusOf = async (path: string, authorization?: string) =>
      (await http(running, path, authorization === undefined ? {} : { headers: { authorization } })).status;
    expect(await statusOf("/usage?domain=llm")).toBe(401);
    expect(await statusOf("/usage?domain=llm", "Bearer s3cre")).toBe(401);
    expect(await statusOf("/usage?domain=llm", "Bearer s3cret")).toBe(200);
    expect(await statusOf("/ready")).toBe(200);
    expect(await statusOf("/metrics")).toBe(200);
  });

  it.skipIf(!hasRedis)(
    "answers UNAVAILABLE at once and is not ready while Redis is away; healthy again when it is back",
    async () => {
      const redis = await RedisServer.start();
      toStop.push(() => redis.stop());
      const running = await start({ redis: { url: redis.url } });
      await waitFor(() => running.ready(), { what: "Redis" });
      const health = async () => (await call(running, HEALTH_PATH, Buffer.alloc(0)))[1];
      expect([await health(), await codeOf(limit(running, requestBytes("llm", { key: "k" }, 1)))]).toEqual([1, 1]);
      await redis.kill();
      await waitFor(() => !running.ready(), { what: "the loss" });
      const began = performance.now();
      await expect(limit(running, requestBytes("llm", { key: "k" }, 1))).rejects.toMatchObject({
        code: status.UNAVAILABLE,
      } satisfies Partial<ServiceError>);
      expect(performance.now() - began).toBeLessThan(1_000);
      expect(await health()).toBe(2);
      expect((await http(running, "/ready")).status).toBe(503);
      expect(await http(running, "/budget?domain=llm&entry=key=k")).toMatchObject({
        status: 503,
        body: { error: { code: "store_unavailable" } },
      });
      await redis.resume();
      await waitFor(() => running.ready(), { what: "Redis again" });
      expect(await codeOf(limit(running, requestBytes("llm", { key: "k" }, 1)))).toBe(1);
    },
  );
});
