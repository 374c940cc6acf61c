import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { DnsServer } from "../test/fixtures/discovery/dns-server.ts";
import { type RunningServer, silentLogger, startServer } from "./index.ts";

/** Endpoints of a real Envoy that come from service discovery: the whole way from a file or a DNS record to the answer of a request. */

interface Upstream {
  readonly port: number;
  readonly server: Server;
}

async function startUpstream(name: string): Promise<Upstream> {
  const server = createServer((_incoming, response) => response.end(name));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, server };
}

async function get(address: string, host: string): Promise<string> {
  const answer = await fetch(`http://${address}/`, { headers: { "x-service": host, connection: "close" } });
  return `${answer.status} ${await answer.text()}`;
}

describe.each(versionsUnderTest())("service discovery for a real Envoy, %s", (version) => {
  let blue: Upstream;
  let green: Upstream;
  let dir: string;
  const toStop: (() => Promise<void>)[] = [];

  const replace = (path: string, text: string) => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  const endpoints = () => join(dir, "endpoints.yaml");
  const listEndpoints = (...upstreams: readonly Upstream[]) =>
    replace(
      endpoints(),
      JSON.stringify({
        services: { "app-file": upstreams.map(({ port }) => ({ address: "127.0.0.1", port, locality: "eu/eu-1" })) },
      }),
    );

  const configuration = (dns: string, drain: string) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  servers: [{port: {number: 0, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
    - match: [{headers: {x-service: {exact: dns}}}]
      route: [{destination: {host: app-dns.test}}]
      retries: {attempts: 0}
    - route: [{destination: {host: app-file.test}}]
      retries: {attempts: 0}
---
apiVersion: tokenmesh.io/v1alpha1
kind: DiscoverySource
metadata: {name: list}
spec: {file: {path: ${endpoints()}}, quiet: 0s, drain: ${drain}, poll: {min: 100ms}}
---
apiVersion: tokenmesh.io/v1alpha1
kind: DiscoverySource
metadata: {name: dns}
spec: {dns: {resolver: ["${dns}"], kind: SRV}, quiet: 0s, drain: 0s, poll: {min: 100ms, max: 200ms}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app-file, annotations: {tokenmesh.io/endpoints-from: list}}
spec: {hosts: [app-file.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app-dns, annotations: {tokenmesh.io/endpoints-from: dns/_http._tcp.app.test}}
spec: {hosts: [app-dns.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC}
`;

  async function start(options: { state?: string } = {}): Promise<RunningServer> {
    const running = await startServer({
      configDir: join(dir, "config"),
      log: silentLogger,
      watch: { quietMs: 20 },
      ...options,
    });
    toStop.push(() => running.close());
    return running;
  }

  async function startEnvoy(xdsAddress: string): Promise<EnvoyProcess> {
    const envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress, nodeId: "test-envoy", cluster: "test" }),
      allowErrors: [/gRPC config/, /DeltaAggregatedResources|StreamAggregatedResources/],
    });
    toStop.push(() => envoy.stop());
    return envoy;
  }

  async function startDns(...upstreams: readonly Upstream[]): Promise<DnsServer> {
    const dns = await DnsServer.start();
    toStop.push(() => dns.stop());
    const name = "_http._tcp.app.test";
    dns.zone.set(
      name,
      upstreams.map(({ port }) => ({
        type: "SRV",
        name,
        ttl: 0,
        data: { target: "node.test", port, weight: 1, priority: 0 },
      })),
    );
    dns.zone.set("node.test", [{ type: "A", name: "node.test", ttl: 0, data: "127.0.0.1" }]);
    return dns;
  }

  /** `127.0.0.1:PORT health` of what Envoy itself has of a cluster. */
  async function known(envoy: EnvoyProcess, host: string): Promise<readonly string[]> {
    const { cluster_statuses: clusters } = await envoy.admin.json<{
      cluster_statuses: {
        name: string;
        host_statuses?: {
          address: { socket_address: { port_value: number } };
          health_status: { eds_health_status?: string };
        }[];
      }[];
    }>("/clusters?format=json");
    const hosts = clusters.find(({ name }) => name.includes(host))?.host_statuses ?? [];
    return hosts.map(
      ({ address, health_status }) => `${address.socket_address.port_value} ${health_status.eds_health_status ?? ""}`,
    );
  }

  const ageOf = async (server: RunningServer, source: string): Promise<number> => {
    const text = await (await fetch(`${server.apiUrl}/metrics`)).text();
    const line = text.split("\n").find((each) => each.startsWith(`tokenmesh_discovery_age_seconds{source="${source}"`));
    return Number(line?.split(" ").at(-1));
  };

  beforeAll(async () => {
    [blue, green] = await Promise.all([startUpstream("blue"), startUpstream("green")]);
  });
  afterAll(() => {
    for (const { server } of [blue, green]) server.close();
  });

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-discovery-"));
  });
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const configure = (dns: string, drain: string) => {
    mkdirSync(join(dir, "config"), { recursive: true });
    replace(join(dir, "config", "mesh.yaml"), configuration(dns, drain));
  };

  it("moves traffic with the endpoints, without a failed request, and drains what leaves", async () => {
    const dns = await startDns(blue);
    listEndpoints(blue);
    configure(dns.address, "2s");
    const server = await start();
    const envoy = await startEnvoy(server.xdsAddress);
    const address = await envoy.listenerAddress("default/edge/http");
    expect(await get(address, "file")).toBe("200 blue");
    expect(await get(address, "dns")).toBe("200 blue");

    let stop = false;
    const answers: string[] = [];
    const load = (async () => {
      while (!stop) answers.push(await get(address, "file"));
    })();
    listEndpoints(green);
    await waitFor(async () => (await known(envoy, "app-file.test")).includes(`${blue.port} DRAINING`), {
      what: "the draining endpoint",
    });
    await waitFor(() => answers.at(-1) === "200 green", { what: "traffic at green" });
    await waitFor(async () => (await known(envoy, "app-file.test")).length === 1, { what: "the end of draining" });
    stop = true;
    await load;
    expect(answers.filter((each) => !each.startsWith("200 "))).toEqual([]);
    const turned = answers.indexOf("200 green");
    expect(answers.slice(turned).every((each) => each === "200 green")).toBe(true);

    const name = "_http._tcp.app.test";
    const record = (port: number) => ({ type: "SRV", name, ttl: 0, data: { target: "node.test", port } }) as const;
    dns.zone.set(name, [record(green.port)]);
    await waitFor(async () => (await get(address, "dns")) === "200 green", { what: "traffic at green by DNS" });
  });

  it("goes on with the last good endpoints while sources are down, also after a restart of the server", async () => {
    const dns = await startDns(blue);
    listEndpoints(blue);
    configure(dns.address, "0s");
    const state = `file:${join(dir, "state")}`;
    const first = await start({ state });
    const envoy = await startEnvoy(first.xdsAddress);
    const address = await envoy.listenerAddress("default/edge/http");
    expect(await get(address, "dns")).toBe("200 blue");
    expect(await ageOf(first, "default/dns")).toBe(0);

    await dns.stop();
    rmSync(endpoints());
    await waitFor(async () => (await ageOf(first, "default/dns")) > 0, { what: "the age of the endpoints of DNS" });
    await waitFor(async () => (await ageOf(first, "default/list")) > 0, {
      what: "the age of the endpoints of the file",
    });
    expect(await get(address, "dns")).toBe("200 blue");
    expect(await get(address, "file")).toBe("200 blue");
    await first.close();

    const second = await start({ state });
    await second.ready();
    const newcomer = await startEnvoy(second.xdsAddress);
    const gateway = await newcomer.listenerAddress("default/edge/http");
    expect(await get(gateway, "dns")).toBe("200 blue");
    expect(await get(gateway, "file")).toBe("200 blue");

    listEndpoints(green);
    await waitFor(async () => (await get(gateway, "file")) === "200 green", { what: "the file that is back" });
    await dns.resume();
    await waitFor(async () => (await ageOf(second, "default/dns")) === 0, {
      what: "DNS that is back",
      timeoutMs: 40_000,
    });
    expect(await get(gateway, "dns")).toBe("200 blue");
  });
});
