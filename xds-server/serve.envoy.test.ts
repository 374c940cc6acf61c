import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { serviceEntry } from "../test/envoy/service-entry.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** A real Envoy fed by the server from a folder of YAML: the whole way from file to request. */

interface Upstream {
  readonly name: string;
  readonly port: number;
  readonly server: Server;
}

async function startUpstream(
  name: string,
  answer: (request: IncomingMessage) => string = () => name,
): Promise<Upstream> {
  const server = createServer((incoming, response) => response.end(answer(incoming)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { name, port: (server.address() as AddressInfo).port, server };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function get(address: string, path = "/", headers: Record<string, string> = {}): Promise<Answer> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    call.on("error", reject).end();
  });
}

const combinations = versionsUnderTest().flatMap((version) =>
  (["sotw", "delta"] as const).map((protocol) => ({ version, protocol })),
);

describe.each(combinations)("a real Envoy fed over ADS, $version, $protocol", ({ version, protocol }) => {
  let v1: Upstream;
  let v2: Upstream;
  let dir: string;
  let server: RunningServer;
  let envoy: EnvoyProcess;
  const toStop: (() => Promise<void>)[] = [];

  function write(name: string, text: string): void {
    // As an editor or kubectl would: a new file moved over the old one.
    writeFileSync(join(dir, `.${name}.tmp`), text);
    renameSync(join(dir, `.${name}.tmp`), join(dir, name));
  }

  const base = () => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  servers: [{port: {number: 0, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app}
spec:
  hosts: [app.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
    - {address: 127.0.0.1, ports: {http: ${v1.port}}, labels: {version: v1}}
    - {address: 127.0.0.1, ports: {http: ${v2.port}}, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec:
  host: app.test
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
`;
  const split = (a: number, b: number, extra = "") => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
    - match: [{headers: {x-version: {exact: v2}}}]
      route: [{destination: {host: app.test, subset: v2}}]
    - route:
        - {destination: {host: app.test, subset: v1}, weight: ${a}}
        - {destination: {host: app.test, subset: v2}, weight: ${b}}
${extra}`;

  async function startEnvoy(xdsAddress: string): Promise<EnvoyProcess> {
    const process = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress, nodeId: "test-envoy", cluster: "test", protocol }),
      // The stream to the server ends when a test stops or restarts it.
      allowErrors: [/gRPC config/, /DeltaAggregatedResources|StreamAggregatedResources/],
    });
    toStop.push(() => process.stop());
    return process;
  }

  async function start(options: { xds?: string } = {}): Promise<RunningServer> {
    const running = await startServer({ configDir: dir, log: silentLogger, watch: { quietMs: 20 }, ...options });
    toStop.push(() => running.close());
    return running;
  }

  beforeAll(async () => {
    [v1, v2] = await Promise.all([startUpstream("v1"), startUpstream("v2")]);
  });
  afterAll(() => {
    for (const { server: each } of [v1, v2]) each.close();
  });

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-xds-"));
    write("base.yaml", base());
    write("routes.yaml", split(100, 0));
    server = await start();
    envoy = await startEnvoy(server.xdsAddress);
  });
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const listener = () => envoy.listenerAddress("default/edge/http");

  async function status(): Promise<{
    nodes: { settled: boolean; types: Record<string, { state: string; ackedVersion: string; nack?: unknown }> }[];
  }> {
    const { body } = await get(server.apiAddress, "/snapshot");
    return JSON.parse(body);
  }

  it("gets listeners, routes, clusters and endpoints", async () => {
    const address = await listener();
    expect(await get(address)).toEqual({ status: 200, body: "v1" });
    expect(await get(address, "/", { "x-version": "v2" })).toEqual({ status: 200, body: "v2" });
    await waitFor(async () => (await status()).nodes[0]?.types.RDS?.state === "synced", {
      timeoutMs: 5_000,
      what: "ACKs",
    });
    expect(Object.entries((await status()).nodes[0]?.types ?? {}).map(([type, { state }]) => [type, state])).toEqual(
      expect.arrayContaining(["CDS", "EDS", "LDS", "RDS"].map((type) => [type, "synced"])),
    );
  });

  it("shifts traffic on a weight change without a failed request", async () => {
    const address = await listener();
    let stop = false;
    const answers: Answer[] = [];
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!stop) answers.push(await get(address));
      }),
    );
    await waitFor(() => answers.length > 50, { timeoutMs: 10_000, what: "traffic" });
    write("routes.yaml", split(0, 100));
    const before = answers.length;
    await waitFor(() => answers.slice(-20).every(({ body }) => body === "v2"), {
      timeoutMs: 10_000,
      what: "traffic at v2",
    });
    write("routes.yaml", split(50, 50));
    await waitFor(() => answers.slice(-40).filter(({ body }) => body === "v1").length > 8, {
      timeoutMs: 10_000,
      what: "split traffic",
    });
    stop = true;
    await load;
    expect(answers.filter(({ status: code }) => code !== 200)).toEqual([]);
    expect(answers.slice(0, before - 10).every(({ body }) => body === "v1")).toBe(true);
  });

  it("replaces a service by another one in one change without a failed request", async () => {
    const service = (name: string, port: number) => `
${serviceEntry(name, port)}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: swap}
spec: {hosts: [swap.test], http: [{route: [{destination: {host: ${name}.test}}], retries: {attempts: 0}}]}
`;
    write("swap.yaml", service("blue", v1.port));
    const address = await listener();
    const swap = () => get(address, "/", { host: "swap.test" });
    await waitFor(async () => (await swap()).status === 200, { timeoutMs: 5_000, what: "the blue service" });
    let stop = false;
    const answers: Answer[] = [];
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!stop) answers.push(await swap());
      }),
    );
    for (const [name, upstream] of [
      ["green", v2],
      ["blue", v1],
      ["green", v2],
    ] as const) {
      write("swap.yaml", service(name, upstream.port));
      await waitFor(() => answers.at(-1)?.body === upstream.name, { timeoutMs: 10_000, what: `traffic at ${name}` });
    }
    await waitFor(async () => !(await envoy.admin.get("/clusters")).includes("|blue.test"), {
      timeoutMs: 5_000,
      what: "the old cluster to go",
    });
    stop = true;
    await load;
    expect(answers.filter(({ status: code }) => code !== 200)).toEqual([]);
  });

  it("accepts every kind of resource the builders make, at once", async () => {
    const golden = readFileSync(new URL("resources/golden/shop.yaml", import.meta.url), "utf8");
    const echo = await startUpstream("echo", ({ headers }) => JSON.stringify(headers));
    toStop.push(async () => {
      echo.server.close();
    });
    // Free ports; every endpoint is on loopback and is the echo server.
    const text = golden
      .replace(/number: 808\d/g, "number: 0")
      .replace(/192\.0\.2\.\d/g, "127.0.0.1")
      .replaceAll("8000", `${echo.port}`)
      .replaceAll("number: 80,", `number: 80, targetPort: ${echo.port},`)
      .replace("resolution: DNS", "resolution: DNS\n  endpoints: [{address: localhost}]");
    write("shop.yaml", text);
    const address = await envoy.listenerAddress("shop/edge/http");
    const types = ["CDS", "EDS", "LDS", "RDS", "ECDS"];
    await waitFor(
      async () => {
        const node = (await status()).nodes[0];
        return types.every((type) => node?.types[type]?.state === "synced");
      },
      { timeoutMs: 5_000, what: "ACKs of all types" },
    );
    const headers = { host: "chat.shop.test" };
    expect(await get(address, "/health", headers)).toEqual({ status: 200, body: "ok" });
    for (const path of ["/v1/canary?debug=1", "/", "/hosted/x"]) {
      expect([path, (await get(address, path, headers)).status]).toEqual([path, 200]);
    }
    expect((await get(address, "/OLD/x", headers)).status).toBe(308);
  });

  it("takes the endpoint header from clients, with or without a filter", async () => {
    const echo = await startUpstream("echo", ({ headers }) => JSON.stringify(headers));
    toStop.push(async () => {
      echo.server.close();
    });
    write("base.yaml", base().replaceAll(`${v1.port}`, `${echo.port}`));
    const address = await listener();
    const headers = { "x-gateway-destination-endpoint": "127.0.0.9:1", "x-other": "1" };
    await waitFor(async () => (await get(address)).body.startsWith("{"), { timeoutMs: 5_000, what: "the echo server" });
    const names = Object.keys(JSON.parse((await get(address, "/", headers)).body));
    expect(names).toContain("x-other");
    expect(names).not.toContain("x-gateway-destination-endpoint");
  });

  it("keeps the last good configuration when a file is broken, and takes the repaired one", async () => {
    const address = await listener();
    write("routes.yaml", split(100, 0).replace("subset: v1", "subset: v9"));
    await waitFor(() => server.configErrors().length > 0, { timeoutMs: 5_000, what: "the error" });
    expect(server.configErrors()[0]).toMatchObject({ code: "TM_CONFIG_UNKNOWN_REFERENCE", line: 12, column: 50 });
    expect(await get(address)).toEqual({ status: 200, body: "v1" });
    expect((await get(server.apiAddress, "/ready")).status).toBe(200);
    expect((await get(server.apiAddress, "/metrics")).body).toContain("tokenmesh_config_errors 1");
    write("routes.yaml", split(0, 100));
    await waitFor(async () => (await get(address)).body === "v2", { timeoutMs: 5_000, what: "the repaired route" });
    expect(server.configErrors()).toEqual([]);
  });

  it("is told nothing that it has when the server restarts", async () => {
    const address = await listener();
    await waitFor(async () => (await status()).nodes[0]?.types.RDS?.state === "synced", { what: "ACKs" });
    const { xdsAddress } = server;
    const changes = () => envoy.admin.stats("(modified|added|removed|config_reload|update_rejected|warming_clusters)$");
    const before = await changes();
    await server.close();
    server = await start({ xds: xdsAddress });
    await waitFor(
      async () => {
        const node = (await status()).nodes[0];
        return node?.settled === true && ["CDS", "EDS", "LDS", "RDS"].every((type) => type in node.types);
      },
      { timeoutMs: 20_000, what: "the Envoy to come back" },
    );
    expect(await get(address)).toEqual({ status: 200, body: "v1" });
    expect(await changes()).toEqual(before);
    const { body } = await get(server.apiAddress, "/metrics");
    const pushed = [...body.matchAll(/^tokenmesh_xds_pushed_bytes_total\{type="(\w+)"\} (\d+)/gm)];
    console.info(
      `Envoy ${version}, ${protocol}: sent again ${pushed.map(([, type, bytes]) => `${type} ${bytes}`).join(", ")}`,
    );
    // State of the world cannot but say everything again.
    if (protocol === "sotw") expect(pushed.length).toBeGreaterThan(0);
    if (protocol === "delta") for (const [, , bytes] of pushed) expect(Number(bytes)).toBeLessThan(100);
  });

  it("keeps serving while the server restarts, and follows the new one", async () => {
    const address = await listener();
    const { xdsAddress } = server;
    await server.close();
    expect(await get(address)).toEqual({ status: 200, body: "v1" });
    write("routes.yaml", split(0, 100));
    server = await start({ xds: xdsAddress });
    expect((await get(address)).status).toBe(200);
    await waitFor(async () => (await get(address)).body === "v2", {
      timeoutMs: 20_000,
      what: "the new server's route",
    });
  });
});
