import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get as httpGet, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest } from "../envoy/harness/index.ts";
import { createProgram } from "./cli/program.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** Programs change what a real Envoy does, through the admin API: rules, weights, and being told when it has them. */

function startUpstream(name: string): Promise<Server> {
  const server = createServer((_request, response) => response.end(name));
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

function answerOf(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    httpGet(url, { agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve(response.statusCode === 200 ? body : `${response.statusCode}`));
    }).on("error", reject);
  });
}

/** As the documents have it: the weights of a service's versions are put as a VirtualService in JSON. */
async function updateTrafficRules(api: string, service: string, weights: Readonly<Record<string, number>>) {
  const route = Object.entries(weights).map(([subset, weight]) => ({
    destination: { host: `${service}.test`, subset },
    weight,
  }));
  const rule = {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "VirtualService",
    metadata: { name: `${service}-routing` },
    spec: { hosts: ["*"], gateways: ["edge"], http: [{ route }] },
  };
  const path = `/apis/networking.istio.io/v1alpha3/namespaces/default/virtualservices/${service}-routing`;
  const answer = await fetch(`${api}${path}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(rule),
  });
  return answer.status;
}

describe.each(versionsUnderTest())("the admin API and a real Envoy, %s", (version) => {
  const upstreams: Server[] = [];
  let dir: string;
  let server: RunningServer;
  let envoy: EnvoyProcess;
  beforeAll(async () => {
    upstreams.push(await startUpstream("v1"), await startUpstream("v2"));
  });
  afterAll(() => {
    for (const each of upstreams) each.close();
  });

  const base = () => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 0, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app}
spec:
  hosts: [app.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
${upstreams.map((each, i) => `    - {address: 127.0.0.1, ports: {http: ${portOf(each)}}, labels: {version: v${i + 1}}}`).join("\n")}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec:
  host: app.test
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
`;
  const rule = (name: string, host: string, destination: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec: {hosts: ["${host}"], gateways: [edge], http: [{route: [{destination: {host: ${destination}}}]}]}
`;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-api-"));
    writeFileSync(join(dir, "base.yaml"), base());
    server = await startServer({ configDir: dir, log: silentLogger });
    envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: server.xdsAddress, nodeId: "api-test", cluster: "test" }),
      allowErrors: [/gRPC config/, /AggregatedResources/, /failed to bind/],
    });
  });
  afterEach(async () => {
    await envoy.stop();
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** How many of `total` requests each upstream answered; anything else than 200 shows as its status. */
  async function shares(total: number, path = "/"): Promise<Record<string, number>> {
    const address = await envoy.listenerAddress("default/edge/http");
    const counts: Record<string, number> = {};
    for (let sent = 0; sent < total; ) {
      const batch = Math.min(20, total - sent);
      for (const answer of await Promise.all(
        Array.from({ length: batch }, () => answerOf(`http://${address}${path}`)),
      )) {
        counts[answer] = (counts[answer] ?? 0) + 1;
      }
      sent += batch;
    }
    return counts;
  }

  /** Runs a command of the command line against the server. */
  async function tokenmesh(...args: readonly string[]) {
    let stdout = "";
    const write = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
      stdout += String(chunk);
      return true;
    });
    try {
      await createProgram().parseAsync(["node", "tokenmesh", ...args, "--server", server.apiUrl]);
    } catch {
      process.exitCode ??= 2;
    } finally {
      write.mockRestore();
    }
    const code = process.exitCode ?? 0;
    process.exitCode = undefined;
    return { code, stdout };
  }

  const file = (text: string): string => {
    const path = join(mkdtempSync(join(tmpdir(), "tokenmesh-api-")), "change.yaml");
    writeFileSync(path, text);
    return path;
  };

  it("update_traffic_rules: 80/20, then 90/10, answered when it is in force", async () => {
    expect(await updateTrafficRules(server.apiUrl, "app", { v1: 80, v2: 20 })).toBe(201);
    // In force on the server: Envoy has it a moment later.
    expect((await tokenmesh("apply", "--wait", file(base()))).code).toBe(0);
    const first = await shares(1_000);
    expect(first.v1 ?? 0).toBeGreaterThan(740);
    expect(first.v1 ?? 0).toBeLessThan(860);
    expect((first.v1 ?? 0) + (first.v2 ?? 0)).toBe(1_000);
    expect(await updateTrafficRules(server.apiUrl, "app", { v1: 90, v2: 10 })).toBe(200);
    expect((await tokenmesh("apply", "--wait", file(base()))).code).toBe(0);
    const second = await shares(1_000);
    expect(second.v1 ?? 0).toBeGreaterThan(850);
    expect(second.v1 ?? 0).toBeLessThan(945);
    expect((second.v1 ?? 0) + (second.v2 ?? 0)).toBe(1_000);
  });

  it("apply --wait: 0 when Envoy has it, and then the very next request goes by it", async () => {
    for (const destination of [
      "{host: app.test, subset: v1}",
      "{host: app.test, subset: v2}",
      "{host: app.test, subset: v1}",
    ]) {
      const text = rule("app", "*", "x").replace("{host: x}", destination);
      const { code, stdout } = await tokenmesh("apply", "--wait", file(text));
      expect([code, stdout]).toEqual([0, expect.stringContaining("accepted by 1 Envoy\n")]);
      const subset = /v[12]/.exec(destination)?.[0] ?? "";
      expect(await shares(20)).toEqual({ [subset]: 20 });
    }
  });

  it("apply --wait: 3 when Envoy rejects it, with Envoy, resource and reason; what was there goes on, and the next good one clears it", async () => {
    expect((await tokenmesh("apply", "--wait", file(rule("app", "*", "app.test")))).code).toBe(0);
    const taken = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: taken}
spec: {servers: [{port: {number: ${portOf(upstreams[0] as Server)}, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]}
`;
    const { code, stdout } = await tokenmesh("apply", "--wait", file(taken));
    expect([code, stdout]).toEqual([
      3,
      expect.stringMatching(
        /^Gateway\/default\/taken created\nEnvoy api-test: LDS: .*(bind|in use).*default\/taken\/http/s,
      ),
    ]);
    const status = (await tokenmesh("status")).stdout;
    expect(status).toMatch(/1 connected, 0 in sync, 1 with a rejection/);
    expect(status).toMatch(/^NACK {5}Envoy api-test: LDS/m);
    expect((await shares(20))["404"]).toBeUndefined();
    // A change of another type is not held up by it.
    expect(
      (
        await tokenmesh(
          "apply",
          "--wait",
          file(rule("app", "*", "x").replace("{host: x}", "{host: app.test, subset: v2}")),
        )
      ).code,
    ).toBe(0);
    expect(await shares(20)).toEqual({ v2: 20 });
    expect((await tokenmesh("delete", "gateway", "taken", "--wait")).code).toBe(0);
    expect((await tokenmesh("status")).stdout).toMatch(/1 connected, 1 in sync, 0 with a rejection/);
  });

  it("weights: an endpoint drains, and comes back", async () => {
    expect((await tokenmesh("apply", "--wait", file(rule("app", "*", "app.test")))).code).toBe(0);
    expect(Object.keys(await shares(40)).sort()).toEqual(["v1", "v2"]);
    const [v1] = upstreams.map(portOf);
    const put = (weight: number | null) =>
      fetch(`${server.apiUrl}/api/v1/weights?wait=acked`, {
        method: "PUT",
        body: JSON.stringify({
          changes: [{ cluster: "outbound|80||app.test", address: "127.0.0.1", port: v1, weight }],
        }),
      });
    const answer = await put(0);
    expect([answer.status, await answer.json()]).toEqual([
      200,
      expect.objectContaining({ wait: { outcome: "acked", nodes: 1 }, changes: 1 }),
    ]);
    expect(await shares(40)).toEqual({ v2: 40 });
    const back = await put(null);
    expect([back.status, await back.json()]).toEqual([200, expect.objectContaining({ changes: 1 })]);
    expect(Object.keys(await shares(40))).toHaveLength(2);
  });

  it("rollback: back to what Envoy accepted last", async () => {
    expect(
      (
        await tokenmesh(
          "apply",
          "--wait",
          file(rule("app", "*", "x").replace("{host: x}", "{host: app.test, subset: v1}")),
        )
      ).code,
    ).toBe(0);
    const taken =
      base()
        .replaceAll("edge", "taken")
        .replace("number: 0", `number: ${portOf(upstreams[0] as Server)}`)
        .split("---")[0] ?? "";
    const change = `${taken}---${rule("app", "*", "x").replace("{host: x}", "{host: app.test, subset: v2}")}`;
    expect((await tokenmesh("apply", "--wait", file(change))).code).toBe(3);
    const answer = await fetch(`${server.apiUrl}/api/v1/rollback`, { method: "POST" });
    expect(answer.status).toBe(200);
    expect((await tokenmesh("apply", "--wait", file(base()))).code).toBe(0);
    expect(await shares(20)).toEqual({ v1: 20 });
  });
});
