import { appendFileSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { compareVersions } from "../envoy/harness/versions.ts";
import { type Clock, type Replica, startReplica, TIMING_PROFILES } from "../envoy/replica/index.ts";
import { serviceEntry } from "../test/envoy/service-entry.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";
import { defaultWasmDir, FILTER_CODES } from "./resources/index.ts";

/** A TokenRateLimit from YAML to the 429, alone and together with an LLMRouter. Replicas report what a call took, so every count is exact. */

/** A clock that stands still: a stream stays open until the test lets it go on. */
class HeldClock implements Clock {
  held = false;
  #waiting: (() => void)[] = [];

  now(): number {
    return performance.now();
  }

  after(_delayMs: number, action: () => void): () => void {
    let cancelled = false;
    const run = () => {
      if (!cancelled) action();
    };
    if (this.held) this.#waiting.push(run);
    else setImmediate(run);
    return () => {
      cancelled = true;
    };
  }

  release(): void {
    this.held = false;
    for (const run of this.#waiting.splice(0)) setImmediate(run);
  }
}

const ENV_KEY = "TOKENMESH_TEST_LIMIT_KEY";
const AMOUNT = 200;

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly used: number;
  readonly body: { readonly error?: { readonly code?: string; readonly message?: string }; readonly usage?: Usage };
}

describe.each(versionsUnderTest())("a TokenRateLimit in a real Envoy, %s", (version) => {
  const NO_POOLS = "Envoy 1.36 has no composite clusters";
  const hasPools = compareVersions(version, "1.37.0") >= 0;
  const clock = new HeldClock();
  let first: Replica;
  let second: Replica;
  let dir: string;
  let wasmDir: string;
  let server: RunningServer;
  let envoy: EnvoyProcess;

  const gateway = (name: string) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}}
spec:
  servers: [{port: {number: 0, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]
---`;
  const base = () => `
${gateway("edge")}
${serviceEntry("first", first.port)}
---
${serviceEntry("second", second.port)}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: models}
spec:
  hosts: ["*"]
  http: [{route: [{destination: {host: first.test}}]}]
---`;
  /** Budgets per client over a day that moves along: no test sees the end of a window. */
  const perKey = (amount: number) => `
    - name: per-key
      key: [{apiKey: true}]
      limits: [{unit: tokens, amount: ${amount}, per: day, rolling: true}]`;
  const limits = (...rules: readonly string[]) => `
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: budgets}
spec:
  rules:${rules.join("")}`;
  const router = (more = "") => `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat, annotations: {tokenmesh.io/gateways: edge}}
spec:
  targets:
    first: {cluster: first.test, credential: {env: ${ENV_KEY}}}
    second: {cluster: second.test, upstreamModel: n, credential: {value: second-key, header: x-api-key}}
  rules:
    - {name: pooled, match: {models: [m]}, targets: [{target: first}], fallback: {targets: [second], statuses: [429, 503]}}
    - {name: rest, targets: [{target: second}]}
${more}
---`;

  beforeAll(async () => {
    process.env[ENV_KEY] = "first-key";
    const timing = TIMING_PROFILES.instant;
    // Without a prefix cache usage follows from the request alone.
    first = await startReplica({
      name: "first",
      models: ["m"],
      timing,
      clock,
      prefixCache: false,
      answerTokens: 1_000,
    });
    second = await startReplica({ name: "second", models: ["n"], prefixCache: false, answerTokens: 1_000 });
  });
  afterAll(async () => {
    delete process.env[ENV_KEY];
    for (const replica of [first, second]) await replica.close();
  });

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-limit-"));
    wasmDir = mkdtempSync(join(tmpdir(), "tokenmesh-wasm-"));
    for (const code of FILTER_CODES)
      copyFileSync(join(defaultWasmDir(), `${code}.wasm`), join(wasmDir, `${code}.wasm`));
  });
  afterEach(async () => {
    clock.release();
    await envoy.stop();
    await server.close();
    for (const each of [dir, wasmDir]) rmSync(each, { recursive: true, force: true });
    for (const replica of [first, second]) {
      await replica.recover();
      replica.clearRequests();
    }
  });

  async function start(text: string): Promise<void> {
    writeFileSync(join(dir, "a.yaml"), text);
    server = await startServer({ configDir: dir, wasmDir, log: silentLogger });
    envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: server.xdsAddress, nodeId: "limit-test", cluster: "test" }),
      allowErrors: [/gRPC config/, /StreamAggregatedResources/],
    });
    await settled();
  }

  interface Status {
    readonly snapshot: { readonly version: string } | null;
    readonly nodes: readonly { readonly types: Readonly<Record<string, { readonly state: string }>> }[];
  }

  async function status(): Promise<Status> {
    return (await (await fetch(`http://${server.apiAddress}/snapshot`)).json()) as Status;
  }

  /** All types accepted; of clusters, on an Envoy without pools, all but those. */
  async function settled(): Promise<void> {
    const done = async () => {
      const [node] = (await status()).nodes;
      return ["CDS", "EDS", "LDS", "RDS", "ECDS"].every((type) => {
        const state = node?.types[type]?.state;
        return state === "synced" || (type === "CDS" && !hasPools && state === "nacked");
      });
    };
    await waitFor(done, { timeoutMs: 10_000, what: "the configuration" });
  }

  /** Other files, which Envoy has taken when this returns. */
  async function edit(text: string): Promise<void> {
    const before = (await status()).snapshot?.version;
    writeFileSync(join(dir, "a.yaml"), text);
    server.reload();
    expect(server.configErrors()).toEqual([]);
    expect((await status()).snapshot?.version).not.toBe(before);
    await settled();
  }

  const url = async (name = "edge") =>
    `http://${await envoy.listenerAddress(`default/${name}/http`)}/v1/chat/completions`;

  function call(at: string, key: string, fields: object): Promise<Response> {
    return fetch(at, {
      method: "POST",
      // A connection of its own: one that is open keeps the filters of a listener that has been replaced.
      headers: { "content-type": "application/json", authorization: `Bearer ${key}`, connection: "close" },
      body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }], ...fields }),
    });
  }

  async function ask(key: string, fields: object = { max_tokens: 20 }, at?: string): Promise<Answer> {
    const answer = await call(at ?? (await url()), key, fields);
    const body = (await answer.json()) as Answer["body"];
    return { status: answer.status, headers: answer.headers, used: body.usage?.total_tokens ?? 0, body };
  }

  /** Tokens that the key has used of `amount`: what a request that asks for more than there is is told. It takes nothing. */
  async function usedOf(amount: number, key: string, at?: string): Promise<number> {
    const { status: code, headers } = await ask(key, { max_tokens: 1_000_000 }, at);
    expect([code, headers.get("x-ratelimit-limit-tokens")]).toEqual([429, String(amount)]);
    return amount - Number(headers.get("x-ratelimit-remaining-tokens"));
  }

  /** Alice, who has used some, is told the amount with a refusal. */
  async function inForce(amount: number): Promise<void> {
    const refused = () => ask("alice", { max_tokens: 1_000_000 });
    const told = async () => (await refused()).headers.get("x-ratelimit-limit-tokens") === String(amount);
    await waitFor(told, { timeoutMs: 5_000, what: "the new amount" });
  }

  const METRIC = "wasmcustom.tokenmesh_rate_limit_";
  async function counted(expected: Readonly<Record<string, number>>): Promise<void> {
    let now = new Map<string, number>();
    const done = async () => {
      now = await envoy.admin.stats("tokenmesh_rate_limit");
      return Object.entries(expected).every(([name, value]) => now.get(METRIC + name) === value);
    };
    await waitFor(done, { timeoutMs: 5_000, what: "the counters" }).catch((cause: unknown) => {
      throw new Error(JSON.stringify(Object.fromEntries(now), undefined, 1), { cause });
    });
  }

  const vms = async () =>
    (await envoy.admin.stats("wasm.envoy.wasm.runtime.v8.active")).get("wasm.envoy.wasm.runtime.v8.active");

  /** Listeners that changed, and connections that were asked to go. */
  async function drained(): Promise<number> {
    const stats = await envoy.admin.stats("listener_(modified|in_place_updated|removed)$|cx_drain_close$");
    return [...stats].filter(([name]) => !name.includes("admin")).reduce((sum, [, value]) => sum + value, 0);
  }

  it("refuses what a client has no tokens for, says when it has, and counts what was used", async () => {
    await start(base() + limits(perKey(AMOUNT)));
    let used = 0;
    let answers = 0;
    let last = await ask("alice");
    for (; last.status === 200 && answers < 50; answers++) {
      expect(last.headers.get("x-ratelimit-limit-tokens")).toBe(String(AMOUNT));
      used += last.used;
      last = await ask("alice");
    }
    expect(answers).toBeGreaterThan(3);
    expect(used).toBeLessThanOrEqual(AMOUNT);
    expect(last.status).toBe(429);
    expect(last.headers.get("x-ratelimit-remaining-tokens")).toBe(String(AMOUNT - used));
    const [seconds, ms] = ["retry-after", "retry-after-ms"].map((name) => Number(last.headers.get(name)));
    // A day that moves along: what was used first comes back first, after a whole day or a sixteenth more.
    expect(seconds).toBe(Math.ceil((ms ?? 0) / 1_000));
    expect(seconds).toBeGreaterThan(86_000);
    expect(seconds).toBeLessThanOrEqual(86_400 * (1 + 1 / 16));
    expect(last.body.error).toMatchObject({ code: "rate_limit_exceeded", message: expect.stringContaining("per-key") });
    expect(await usedOf(AMOUNT, "alice")).toBe(used);
    const other = await ask("bob");
    expect(other.status).toBe(200);
    await counted({
      rules: 1,
      "requests;rule=per-key;outcome=admitted": answers + 1,
      "requests;rule=per-key;outcome=refused": 2,
      "tokens;rule=per-key;kind=used": used + other.used,
    });
    expect(first.requests).toHaveLength(answers + 1);
    const dump = JSON.stringify(await envoy.admin.configDump());
    expect(dump).toContain('"name":"tokenmesh.token-rate-limit/default/budgets"');
    // With one worker: the base VM, the main thread's, the worker's.
    expect(await vms()).toBe(3);
  });

  it("brings the cluster of a Rate Limit Service along, and holds to the amounts itself while nobody answers there", async () => {
    const host = "ledger.test";
    const ledger = `\n${serviceEntry("ledger", 1).replace("protocol: HTTP", "protocol: GRPC")}\n---`;
    const shared = (mode: string, service: string) =>
      `${base()}${ledger}${limits(`
    - name: shared
      key: [{apiKey: true}]
      mode: ${mode}
      limits: [{unit: tokens, amount: ${AMOUNT}, per: month}]`)}${service}`;
    await start(shared("strict", `\n  service: {cluster: ${host}}`));
    const { status: code, headers } = await ask("alice");
    expect([code, headers.get("x-ratelimit-limit-tokens")]).toEqual([200, String(AMOUNT)]);
    expect((await ask("alice", { max_tokens: 1_000 })).status).toBe(429);
    const clusters = (await envoy.admin.configDump()) as { configs: { dynamic_active_clusters?: object[] }[] };
    const [cluster] = clusters.configs
      .flatMap((each) => each.dynamic_active_clusters ?? [])
      .map((each) => JSON.stringify(each))
      .filter((each) => each.includes(`||${host}"`));
    expect(cluster).toContain('"explicit_http_config":{"http2_protocol_options":{}}');
    const name = /"name":"(outbound\|\d+\|\|ledger\.test)"/.exec(cluster ?? "")?.[1] ?? "no cluster";
    const plugin = JSON.stringify(await envoy.admin.configDump()).replaceAll("\\", "");
    expect(plugin).toContain(`"service":{"cluster":"${name}"`);
    // Without the rule the service goes, too; its cluster stays with the ServiceEntry.
    await edit(shared("local", ""));
    expect((await ask("alice")).status).toBe(200);
  });

  it("takes other amounts while a stream runs, and goes on with what was used", async () => {
    await start(base() + limits(perKey(AMOUNT)));
    const before = (await ask("alice")).used;
    clock.held = true;
    const stream = await call(await url(), "alice", {
      max_tokens: 30,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(stream.status).toBe(200);
    await edit(base() + limits(perKey(2 * AMOUNT)));
    await inForce(2 * AMOUNT);
    expect(await drained()).toBe(0);
    clock.release();
    const events = await stream.text();
    expect(events.trimEnd().endsWith("data: [DONE]")).toBe(true);
    const streamed = Number(/"total_tokens":(\d+)/.exec(events)?.[1]);
    expect(streamed).toBeGreaterThan(30);
    // The end of the stream is settled when Envoy has seen it, which is right after the client has.
    await waitFor(async () => (await usedOf(2 * AMOUNT, "alice")) === before + streamed, {
      timeoutMs: 5_000,
      what: "what both used",
    });
    expect(await vms()).toBe(3);
  });

  it("keeps budgets when the filter's code is replaced", async () => {
    await start(base() + limits(perKey(AMOUNT)));
    const { used } = await ask("alice");
    const active = (await vms()) ?? 0;
    const { version: old } = (await status()).snapshot ?? {};
    // A custom section: other code that does the same.
    appendFileSync(join(wasmDir, "token-rate-limit.wasm"), Uint8Array.from([0, 2, 1, 0x78]));
    server.reload();
    expect((await status()).snapshot?.version).not.toBe(old);
    await settled();
    const created = async () => (await envoy.admin.stats("v8.created")).get("wasm.envoy.wasm.runtime.v8.created") ?? 0;
    await waitFor(async () => (await created()) >= 2 * active, { timeoutMs: 5_000, what: "new VMs" });
    expect(await usedOf(AMOUNT, "alice")).toBe(used);
    expect(await drained()).toBe(0);
  });

  it("lets go of a rule that is removed, and of all with the document", async () => {
    const all = `
    - name: all
      limits: [{unit: requests, amount: 100, per: day, rolling: true}]`;
    await start(base() + limits(perKey(AMOUNT), all));
    await ask("alice");
    expect((await ask("alice", { max_tokens: 500 })).status).toBe(429);
    await edit(base() + limits(all));
    const free = async () => (await ask("alice", { max_tokens: 500 })).status === 200;
    await waitFor(free, { timeoutMs: 5_000, what: "the request without its rule" });
    const answer = await ask("alice", { max_tokens: 500 });
    expect(answer.headers.get("x-ratelimit-limit-requests")).toBe("100");
    expect(answer.headers.has("x-ratelimit-limit-tokens")).toBe(false);
    expect(await drained()).toBe(0);
    await edit(base());
    const unlimited = async () => !(await ask("alice")).headers.has("x-ratelimit-limit-requests");
    await waitFor(unlimited, { timeoutMs: 5_000, what: "an answer without limits" });
  });

  it("keeps the last good limits when the document is broken", async () => {
    await start(base() + limits(perKey(AMOUNT)));
    const { used } = await ask("alice");
    const before = (await status()).snapshot?.version;
    writeFileSync(join(dir, "a.yaml"), base() + limits(perKey(0)));
    server.reload();
    expect(server.configErrors()).toMatchObject([
      { code: "TM_CONFIG_INVALID_VALUE", message: expect.stringContaining("amount") },
    ]);
    expect((await status()).snapshot?.version).toBe(before);
    expect(await usedOf(AMOUNT, "alice")).toBe(used);
    expect((await ask("alice")).status).toBe(200);
  });

  describe("together with an LLMRouter", () => {
    const both = (amount = AMOUNT, more = "") => base() + gateway("plain") + router(more) + limits(perKey(amount));

    it("is one filter in one VM, which routes what it admits", async () => {
      await start(both());
      const { status: code, used, headers } = await ask("alice", { model: "other", max_tokens: 20 });
      expect(code).toBe(200);
      expect(headers.get("x-replica")).toBe("second");
      expect(await usedOf(AMOUNT, "alice")).toBe(used);
      expect(second.requests).toMatchObject([{ model: "n", headers: { "x-api-key": "second-key" } }]);
      // Gateway edge: router, limiter and attempt filter in one VM; Gateway plain: the limiter's own. Three of each, see above.
      await waitFor(async () => (await vms()) === 6, { timeoutMs: 5_000, what: "six VMs" });
      const dump = JSON.stringify(await envoy.admin.configDump());
      expect(dump).toContain('"name":"tokenmesh.llm-gateway/default/chat+default/budgets@');
      expect(dump).not.toContain('"name":"tokenmesh.llm-router/');
      await edit(both(2 * AMOUNT, "  accessLog: true\n"));
      await inForce(2 * AMOUNT);
      await waitFor(async () => (await vms()) === 6, { timeoutMs: 5_000, what: "six VMs again" });
      expect(await drained()).toBe(0);
      expect(await usedOf(2 * AMOUNT, "alice")).toBe(used);
    });

    it("comes and goes without a failed request", async () => {
      const routed = base() + router();
      await start(routed);
      const codes = new Map<number, number>();
      let stop = false;
      const at = await url();
      const traffic = (async () => {
        for (let n = 0; !stop; n++) {
          const { status: code } = await ask(`client-${n}`, { model: "other", max_tokens: 5 }, at);
          codes.set(code, (codes.get(code) ?? 0) + 1);
        }
      })();
      const limited = async () => (await ask("alice", { model: "other" }, at)).headers.has("x-ratelimit-limit-tokens");
      await edit(routed + limits(perKey(AMOUNT)));
      await waitFor(limited, { timeoutMs: 5_000, what: "an answer with limits" });
      await edit(routed);
      await waitFor(async () => !(await limited()), { timeoutMs: 5_000, what: "an answer without limits" });
      stop = true;
      await traffic;
      expect([...codes.keys()]).toEqual([200]);
      expect(codes.get(200)).toBeGreaterThan(10);
    });

    it("shares budgets with a Gateway that has the limiter alone", async () => {
      await start(both());
      const plain = await url("plain");
      const [one, two] = [
        await ask("alice", { model: "other", max_tokens: 20 }),
        await ask("alice", { max_tokens: 20 }, plain),
      ];
      expect([one.status, two.status]).toEqual([200, 200]);
      expect(await usedOf(AMOUNT, "alice", plain)).toBe(one.used + two.used);
      expect(await usedOf(AMOUNT, "alice")).toBe(one.used + two.used);
    });

    it("charges a request with a fallback once, and never falls back from its own 429", async (context) => {
      if (!hasPools) context.skip(NO_POOLS);
      await start(both());
      first.failNext({ kind: "status", status: 503 });
      const { status: code, used, headers } = await ask("alice");
      expect([code, headers.get("x-replica")]).toEqual([200, "second"]);
      expect(first.requests).toMatchObject([{ headers: { authorization: "Bearer first-key" } }]);
      expect(second.requests).toMatchObject([{ model: "n", headers: { "x-api-key": "second-key" } }]);
      expect(second.requests[0]?.headers.authorization).toBeUndefined();
      expect(await usedOf(AMOUNT, "alice")).toBe(used);
      expect([first.requests.length, second.requests.length]).toEqual([1, 1]);
      await counted({
        "requests;rule=per-key;outcome=admitted": 1,
        "requests;rule=per-key;outcome=refused": 1,
        "tokens;rule=per-key;kind=used": used,
      });
    });
  });
});
