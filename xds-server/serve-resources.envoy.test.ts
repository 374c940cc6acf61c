import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, type JsonObject, versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { type RunningServer, startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** What a real Envoy makes of types that only EnvoyResources have: runtime with a time to live, scoped routes, clusters on demand. */

const ADS = { ads: {}, resource_api_version: "V3" };
const TYPE = "type.googleapis.com/envoy";

const resources = (...list: readonly JsonObject[]): string =>
  JSON.stringify({
    apiVersion: "tokenmesh.io/v1alpha1",
    kind: "EnvoyResources",
    metadata: { name: "own" },
    spec: { resources: list },
  });

function listener(manager: JsonObject, ...filters: readonly JsonObject[]): JsonObject {
  const typed = {
    "@type": `${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "own",
    http_filters: [
      ...filters,
      { name: "router", typed_config: { "@type": `${TYPE}.extensions.filters.http.router.v3.Router` } },
    ],
    ...manager,
  };
  return {
    "@type": `${TYPE}.config.listener.v3.Listener`,
    name: "own",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "http", typed_config: typed }] }],
  };
}

const answering = (name: string, status: number): JsonObject => ({
  "@type": `${TYPE}.config.route.v3.RouteConfiguration`,
  name,
  virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status } }] }],
});

function get(address: string, headers: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(`http://${address}/`, { headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(`${response.statusCode} ${text}`.trim()));
    });
    call.on("error", reject).end();
  });
}

const combinations = versionsUnderTest().flatMap((version) =>
  (["sotw", "delta"] as const).map((protocol) => ({ version, protocol })),
);

describe.each(combinations)("resources as they are in a real Envoy, $version, $protocol", ({ version, protocol }) => {
  let dir: string;
  let server: RunningServer;
  let upstream: Server;
  const toStop: (() => Promise<void>)[] = [];

  const write = (text: string): void => {
    writeFileSync(join(dir, ".own.tmp"), text);
    renameSync(join(dir, ".own.tmp"), join(dir, "own.yaml"));
  };

  async function start(text: string, bootstrap: (ads: JsonObject) => JsonObject): Promise<EnvoyProcess> {
    write(text);
    server = await startServer({ configDir: dir, log: silentLogger, watch: { quietMs: 20 } });
    toStop.push(() => server.close());
    const ads = adsBootstrap({ xdsAddress: server.xdsAddress, nodeId: "own", cluster: "t", protocol });
    const envoy = await EnvoyProcess.start({
      version,
      bootstrap: bootstrap(ads),
      allowErrors: [/gRPC config/, /AggregatedResources/],
    });
    toStop.push(() => envoy.stop());
    return envoy;
  }

  beforeAll(async () => {
    upstream = createServer((_, response) => response.end("upstream"));
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => {
    upstream.close();
  });
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-own-"));
  });
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it("runtime: it changes, heartbeats keep it, and without them it is gone when its time is over", async () => {
    const runtime = (value: number) =>
      resources({
        "@type": `${TYPE}.service.discovery.v3.Resource`,
        name: "switches",
        ttl: "2s",
        resource: { "@type": `${TYPE}.service.runtime.v3.Runtime`, name: "switches", layer: { "own.value": value } },
      });
    const layers = [{ name: "own", rtds_layer: { name: "switches", rtds_config: ADS } }];
    const features = { client_features: ["xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw"] };
    const envoy = await start(runtime(1), (ads) => ({
      ...ads,
      node: { ...(ads.node as JsonObject), ...features },
      layered_runtime: { layers },
    }));
    const value = async () => {
      const { entries } = JSON.parse(await envoy.admin.get("/runtime")) as {
        entries: Record<string, { final_value: string }>;
      };
      return entries["own.value"]?.final_value;
    };
    await waitFor(async () => (await value()) === "1", { what: "the value" });
    write(runtime(2));
    await waitFor(async () => (await value()) === "2", { timeoutMs: 5_000, what: "the change" });
    // Its time is over several times while responses come that carry nothing new.
    const pushes = async () => {
      const text = await (await fetch(`http://${server.apiAddress}/metrics`)).text();
      return Number(/^tokenmesh_xds_pushes_total\{type="RTDS"\} (\d+)$/m.exec(text)?.[1] ?? 0);
    };
    const before = await pushes();
    await waitFor(
      async () => {
        expect(await value()).toBe("2");
        return (await pushes()) >= before + 5;
      },
      { timeoutMs: 20_000, what: "heartbeats" },
    );
    await server.close();
    await waitFor(async () => (await value()) === undefined, { timeoutMs: 10_000, what: "its time to be over" });
  });

  it("scoped routes: a header says which routes count, and a scope can be moved and removed", async () => {
    const scope = (key: string, route: string): JsonObject => ({
      "@type": `${TYPE}.config.route.v3.ScopedRouteConfiguration`,
      name: `scope-${key}`,
      route_configuration_name: route,
      key: { fragments: [{ string_key: key }] },
    });
    const manager = {
      scoped_routes: {
        name: "scopes",
        scope_key_builder: {
          fragments: [{ header_value_extractor: { name: "x-scope", element_separator: "", index: 0 } }],
        },
        rds_config_source: ADS,
        scoped_rds: { scoped_rds_config_source: ADS },
      },
    };
    const all = (...scopes: readonly JsonObject[]) =>
      resources(listener(manager), answering("one", 201), answering("two", 202), ...scopes);
    const envoy = await start(all(scope("a", "one"), scope("b", "two")), (ads) => ads);
    const address = await envoy.listenerAddress("own");
    const status = (key: string) => get(address, { "x-scope": key });
    await waitFor(async () => (await status("a")) === "201" && (await status("b")) === "202", { what: "both scopes" });
    expect(await status("c")).toBe("404");
    write(all(scope("a", "two")));
    await waitFor(async () => (await status("a")) === "202" && (await status("b")) === "404", {
      timeoutMs: 5_000,
      what: "the change",
    });
  });

  it("a cluster on demand: the request that needs it waits for it", async () => {
    const { port } = upstream.address() as AddressInfo;
    const address = { socket_address: { address: "127.0.0.1", port_value: port } };
    const cluster: JsonObject = {
      "@type": `${TYPE}.config.cluster.v3.Cluster`,
      name: "late",
      connect_timeout: "1s",
      load_assignment: { cluster_name: "late", endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    };
    const routes = [{ match: { prefix: "/" }, route: { cluster_header: "x-cluster" } }];
    const front = listener(
      { route_config: { name: "own", virtual_hosts: [{ name: "all", domains: ["*"], routes }] } },
      {
        name: "envoy.filters.http.on_demand",
        typed_config: {
          "@type": `${TYPE}.extensions.filters.http.on_demand.v3.OnDemand`,
          odcds: { source: ADS, timeout: "1s" },
        },
      },
    );
    // No subscription to all clusters: this Envoy gets those it needs.
    const envoy = await start(resources(front, cluster), (ads) => {
      const { cds_config: _, ...dynamic } = ads.dynamic_resources as JsonObject;
      return { ...ads, dynamic_resources: dynamic };
    });
    const at = await envoy.listenerAddress("own");
    expect(await envoy.admin.get("/clusters")).not.toContain("late::");
    expect(await get(at, { "x-cluster": "late" })).toBe("200 upstream");
    expect(await get(at, { "x-cluster": "nobody" })).toMatch(/^503/);
    expect(await envoy.admin.get("/clusters")).toContain("late::");
  });
});
