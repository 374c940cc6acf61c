import { appendFileSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { compareVersions } from "../envoy/harness/versions.ts";
import { serviceEntry } from "../test/envoy/service-entry.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";
import { defaultWasmDir } from "./resources/index.ts";

/** An LLMRouter with rules, weights, a fallback and credentials, from YAML to the upstream. */

interface Provider {
  readonly port: number;
  readonly server: Server;
  /** What it was sent since the last `calls.length = 0`. */
  readonly calls: { headers: IncomingHttpHeaders; model: unknown }[];
  /** What it answers, and what it waits for before. */
  status: number;
  until: Promise<unknown>;
}

async function startProvider(): Promise<Provider> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = JSON.parse(Buffer.concat(chunks).toString() || "{}") as { model?: unknown };
      provider.calls.push({ headers: request.headers, model: body.model });
      void provider.until.then(() => {
        response.writeHead(provider.status, { "content-type": "application/json" });
        response.end(JSON.stringify({ choices: [], port: provider.port }));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const provider: Provider = { port, server, calls: [], status: 200, until: Promise.resolve() };
  return provider;
}

const ENV_KEY = "TOKENMESH_TEST_PROVIDER_KEY";
const PREFIX = "llm/default/chat/";

describe.each(versionsUnderTest())("an LLMRouter in a real Envoy, %s", (version) => {
  const NO_POOLS = "Envoy 1.36 has no composite clusters";
  const hasPools = compareVersions(version, "1.37.0") >= 0;
  let first: Provider;
  let second: Provider;
  let dir: string;
  let wasmDir: string;
  let server: RunningServer;
  let envoy: EnvoyProcess;

  const config = (more = "", statuses = "[429]") => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  servers: [{port: {number: 0, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]
---
${serviceEntry("first", first.port)}
---
${serviceEntry("second", second.port)}
---
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec:
  targets:
    first: {cluster: first.test, upstreamModel: first-model, credential: {env: ${ENV_KEY}}}
    second: {cluster: second.test, upstreamModel: second-model, credential: {value: second-key, header: x-api-key}}
    same: {cluster: "second.test:80", host: other.test}
  rules:
    - name: pooled
      match: {models: ["gpt-*"]}
      targets: [{target: first, weight: 3}]
      stickyBy: session
      fallback: {targets: [second, same], statuses: ${statuses}}
    - name: rest
      match: {promptTokens: {below: 1000}}
      targets: [{target: second}, {target: same, weight: 0}]
${more}`;
  const pools = [`${PREFIX}first+${PREFIX}second+${PREFIX}same`];

  beforeAll(async () => {
    process.env[ENV_KEY] = "first-key";
    [first, second] = await Promise.all([startProvider(), startProvider()]);
  });
  afterAll(() => {
    delete process.env[ENV_KEY];
    for (const { server: each } of [first, second]) each.close();
  });

  beforeEach(async () => {
    for (const provider of [first, second]) {
      Object.assign(provider, { status: 200, until: Promise.resolve() });
      provider.calls.length = 0;
    }
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-llm-"));
    wasmDir = mkdtempSync(join(tmpdir(), "tokenmesh-wasm-"));
    copyFileSync(join(defaultWasmDir(), "llm-router.wasm"), join(wasmDir, "llm-router.wasm"));
    write(config());
    server = await startServer({ configDir: dir, wasmDir, log: silentLogger });
    envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: server.xdsAddress, nodeId: "llm-test", cluster: "test" }),
      allowErrors: [/gRPC config/, /StreamAggregatedResources/],
    });
  });
  afterEach(async () => {
    await envoy.stop();
    await server.close();
    for (const each of [dir, wasmDir]) rmSync(each, { recursive: true, force: true });
  });

  function write(text: string): void {
    writeFileSync(join(dir, "llm.yaml"), text);
  }

  interface TypeStatus {
    readonly state: string;
    readonly nack?: { readonly resources: readonly string[]; readonly message: string };
  }

  async function types(): Promise<Readonly<Record<string, TypeStatus>>> {
    const answer = await fetch(`http://${server.apiAddress}/snapshot`);
    const { nodes } = (await answer.json()) as { nodes: { types: Record<string, TypeStatus> }[] };
    return nodes[0]?.types ?? {};
  }

  /** All types accepted; of clusters, on an Envoy without pools, all but those. */
  async function settled(): Promise<void> {
    const done = async () => {
      const now = await types();
      return ["CDS", "EDS", "LDS", "RDS", "ECDS"].every(
        (type) => now[type]?.state === "synced" || (type === "CDS" && !hasPools && now.CDS?.state === "nacked"),
      );
    };
    await waitFor(done, { timeoutMs: 10_000, what: "the configuration" }).catch(async (cause: unknown) => {
      throw new Error(JSON.stringify(await types(), undefined, 1), { cause });
    });
  }

  async function ask(model: string): Promise<number> {
    const address = await envoy.listenerAddress("default/edge/http");
    const answer = await fetch(`http://${address}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] }),
    });
    await answer.text();
    return answer.status;
  }

  const vms = async () =>
    (await envoy.admin.stats("wasm.envoy.wasm.runtime.v8.active")).get("wasm.envoy.wasm.runtime.v8.active");

  it("is accepted: targets, attempt filter and, where Envoy has them, pools", async () => {
    await settled();
    const dump = JSON.stringify(await envoy.admin.configDump());
    expect(dump).toContain('"filter_metadata":{"tokenmesh":{"target":"same"}}');
    expect(dump).toContain('"upstream_http_filters":[{"name":"tokenmesh.llm-router-attempt@');
    const clusters = await envoy.admin.get("/clusters");
    for (const target of ["first", "second", "same"]) expect(clusters).toContain(`${PREFIX}${target}::`);
    for (const pool of pools) expect(clusters.includes(`${pool}::`)).toBe(hasPools);
    if (hasPools) return;
    // An older Envoy says which resources it cannot have, and why.
    const { nack } = (await types()).CDS ?? {};
    expect(nack).toMatchObject({ resources: pools, message: expect.stringContaining("composite") });
  });

  it("runs router and attempt filter in one VM per thread, also after a change of the rules", async () => {
    await settled();
    // With one worker: the base VM, the main thread's, the worker's.
    await waitFor(async () => (await vms()) === 3, { timeoutMs: 5_000, what: "three VMs" });
    write(config("  accessLog: true\n"));
    server.reload();
    await waitFor(async () => JSON.stringify(await envoy.admin.configDump()).includes('accessLog\\":true'), {
      timeoutMs: 5_000,
      what: "the changed rules",
    });
    await waitFor(async () => (await vms()) === 3, { timeoutMs: 5_000, what: "three VMs again" });
    expect((await envoy.admin.stats("in_place_updated")).get("listener_manager.listener_in_place_updated")).toBe(0);
  });

  it("sends a request to its target, with the target's model and key", async () => {
    await settled();
    expect(await ask("other")).toBe(200);
    expect(second.calls).toMatchObject([{ model: "second-model", headers: { "x-api-key": "second-key" } }]);
    expect(first.calls).toEqual([]);
  });

  it("falls back, each target with its own model and key", async (context) => {
    if (!hasPools) context.skip(NO_POOLS);
    await settled();
    first.status = 429;
    expect(await ask("gpt-x")).toBe(200);
    expect(first.calls).toMatchObject([{ model: "first-model", headers: { authorization: "Bearer first-key" } }]);
    expect(second.calls).toMatchObject([{ model: "second-model", headers: { "x-api-key": "second-key" } }]);
    expect(second.calls[0]?.headers.authorization).toBeUndefined();
  });

  it("lets a request end with the code it began with", async (context) => {
    if (!hasPools) context.skip(NO_POOLS);
    await settled();
    let release = () => {};
    first.until = new Promise<void>((resolve) => {
      release = resolve;
    });
    first.status = 429;
    const underWay = ask("gpt-x");
    await waitFor(() => first.calls.length === 1, { timeoutMs: 5_000, what: "the first attempt" });
    const listeners = JSON.stringify((await types()).LDS);
    // A custom section: other code that does the same.
    appendFileSync(join(wasmDir, "llm-router.wasm"), Uint8Array.from([0, 2, 1, 0x78]));
    server.reload();
    await waitFor(async () => JSON.stringify((await types()).LDS) !== listeners, {
      timeoutMs: 5_000,
      what: "an update",
    });
    await settled();
    await waitFor(async () => (await vms()) === 6, { timeoutMs: 5_000, what: "a second set of VMs" });
    release();
    expect(await underWay).toBe(200);
    expect(second.calls).toMatchObject([{ model: "second-model", headers: { "x-api-key": "second-key" } }]);
    expect(await ask("other")).toBe(200);
  });
});
