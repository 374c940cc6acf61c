import { request } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { TypeUrl } from "../../protos/index.ts";
import { createResource, createSnapshot, type Resource, SnapshotCache, updateSnapshot } from "../cache/index.ts";
import { silentLogger } from "../log.ts";
import { createMetrics } from "../server/metrics.ts";
import { StreamRegistry } from "../server/stream-registry.ts";
import { startXdsServer } from "../server/xds-server.ts";

/** Virtual hosts on demand: the request that asks for one waits for it. */

const HTTP = "type.googleapis.com/envoy.extensions.filters";

const listener = createResource(
  TypeUrl.listener,
  "l",
  {
    name: "l",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: "hcm",
            typed_config: {
              "@type": `${HTTP}.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: "l",
              rds: { config_source: { ads: {}, resource_api_version: "V3" }, route_config_name: "r" },
              http_filters: [
                { name: "on_demand", typed_config: { "@type": `${HTTP}.http.on_demand.v3.OnDemand` } },
                { name: "router", typed_config: { "@type": `${HTTP}.http.router.v3.Router` } },
              ],
            },
          },
        ],
      },
    ],
  },
  [{ typeUrl: TypeUrl.route, name: "r" }],
);

const route = (timeout: number) =>
  createResource(TypeUrl.route, "r", {
    name: "r",
    max_direct_response_body_size_bytes: { value: 1_000 + timeout },
    vhds: {
      config_source: {
        resource_api_version: "V3",
        api_config_source: {
          api_type: "DELTA_GRPC",
          transport_api_version: "V3",
          grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
        },
      },
    },
  });

function host(name: string, answer: string, ...domains: readonly string[]): Resource {
  const direct_response = { status: 200, body: { inline_string: answer } };
  const routes = [{ match: { prefix: "/" }, direct_response }];
  const aliases = domains.map((domain) => `r/${domain}`);
  return createResource(
    TypeUrl.virtualHost,
    `r/${name}`,
    { name: `r/${name}`, domains: [...domains], routes },
    [],
    [],
    {
      aliases,
    },
  );
}

describe.each(versionsUnderTest())("on-demand virtual hosts of a real Envoy, %s", (version) => {
  const toStop: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  it("starts without any, asks for hosts, takes them by alias, hears of none, and gets what changes", async () => {
    const cache = new SnapshotCache();
    const first = createSnapshot([listener, route(1), host("v", "one", "a.test", "b.test")]);
    cache.set("default", first);
    const context = { cache, registry: new StreamRegistry(), metrics: createMetrics(), log: silentLogger };
    const xds = await startXdsServer("127.0.0.1:0", { ...context, identifier: "t", now: Date.now });
    toStop.push(() => xds.close());
    // Not ready before the route configuration has heard of its hosts: 15 s without an answer that it takes for one.
    const envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: xds.address, nodeId: "hosts", cluster: "t", protocol: "delta" }),
      allowErrors: [/gRPC config/, /AggregatedResources/, /DeltaVirtualHosts/],
      startTimeoutMs: 10_000,
    });
    toStop.push(() => envoy.stop());
    const address = (await envoy.admin.listeners()).get("l") ?? "";
    const answer = (authority: string) => get(address, authority);

    expect(await answer("a.test")).toBe("200 one");
    expect(await answer("b.test")).toBe("200 one");
    expect(await answer("later.test")).toBe("404 ");

    cache.set(
      "default",
      updateSnapshot(first, [host("v", "two", "a.test", "b.test"), host("w", "late", "later.test")]),
    );
    await waitFor(async () => (await answer("a.test")) === "200 two", { timeoutMs: 5_000, what: "the change" });
    await waitFor(async () => (await answer("later.test")) === "200 late", { timeoutMs: 5_000, what: "the new host" });
  });
});

function get(address: string, authority: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(`http://${address}/`, { headers: { host: authority } }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () => resolve(`${response.statusCode} ${text}`));
    });
    call.on("error", reject);
    call.end();
  });
}
