import { createServer, get, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { TypeUrl } from "../../protos/index.ts";
import { createResource, createSnapshot, type Snapshot, SnapshotCache } from "../cache/index.ts";
import { silentLogger } from "../log.ts";
import { createMetrics } from "../server/metrics.ts";
import { nodeStatuses, StreamRegistry } from "../server/stream-registry.ts";
import { startXdsServer } from "../server/xds-server.ts";

/** One change that brings a cluster, moves the route to it and takes the old cluster away, while requests are under way. */

const HTTP = "type.googleapis.com/envoy.extensions.filters";
const ads = { ads: {}, resource_api_version: "V3" };

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
              rds: { config_source: ads, route_config_name: "r" },
              http_filters: [{ name: "router", typed_config: { "@type": `${HTTP}.http.router.v3.Router` } }],
            },
          },
        ],
      },
    ],
  },
  [{ typeUrl: TypeUrl.route, name: "r" }],
);

/** Everything goes to the one cluster there is. */
function world(cluster: string, port: number): Snapshot {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  const eds_cluster_config = { eds_config: ads, service_name: cluster };
  const routes = [{ match: { prefix: "/" }, route: { cluster } }];
  return createSnapshot([
    listener,
    createResource(TypeUrl.cluster, cluster, { name: cluster, type: "EDS", eds_cluster_config }, [
      { typeUrl: TypeUrl.endpoints, name: cluster },
    ]),
    createResource(TypeUrl.endpoints, cluster, {
      cluster_name: cluster,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    }),
    createResource(TypeUrl.route, "r", { name: "r", virtual_hosts: [{ name: "v", domains: ["*"], routes }] }, [
      { typeUrl: TypeUrl.cluster, name: cluster },
    ]),
  ]);
}

const variants = versionsUnderTest().flatMap((version) => [[version, "sotw"] as const, [version, "delta"] as const]);

describe.each(variants)("make before break at a real Envoy, %s, %s", (version, protocol) => {
  const toStop: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  it("no request fails while the clusters change ten times", async () => {
    const upstream: Server = createServer((_, response) => response.end("ok"));
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    toStop.push(() => new Promise((resolve) => upstream.close(resolve)));
    const { port } = upstream.address() as AddressInfo;
    const cache = new SnapshotCache();
    const registry = new StreamRegistry();
    cache.set("default", world("c0", port));
    const xds = await startXdsServer("127.0.0.1:0", {
      cache,
      registry,
      metrics: createMetrics(),
      log: silentLogger,
      identifier: "t",
      now: Date.now,
    });
    toStop.push(() => xds.close());
    const envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: xds.address, nodeId: "moves", cluster: "t", protocol }),
      allowErrors: [/gRPC config/, /AggregatedResources/],
    });
    toStop.push(() => envoy.stop());
    const url = `http://${(await envoy.admin.listeners()).get("l")}/`;

    const statuses = new Map<number, number>();
    let running = true;
    const load = [0, 1, 2, 3].map(async () => {
      while (running) {
        const status = await statusOf(url);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });
    const clusters = async () => {
      const names = [...(await envoy.admin.stats("cluster.c")).keys()].map((stat) => stat.split(".")[1]);
      return [...new Set(names)].filter((name) => /^c\d+$/.test(name ?? ""));
    };
    try {
      for (let round = 1; round <= 10; round++) {
        cache.set("default", world(`c${round}`, port));
        await waitFor(() => nodeStatuses(registry).every(({ types }) => types.RDS?.state === "synced"), {
          timeoutMs: 5_000,
          what: `round ${round}`,
        });
        await waitFor(async () => (await clusters()).join() === `c${round}`, {
          timeoutMs: 5_000,
          what: `c${round} alone`,
        });
      }
    } finally {
      running = false;
      await Promise.all(load);
    }
    expect([...statuses.keys()]).toEqual([200]);
    expect(statuses.get(200)).toBeGreaterThan(10);
  });
});

function statusOf(url: string): Promise<number> {
  return new Promise((resolve) => {
    const call = get(url, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    call.on("error", () => resolve(0));
  });
}
