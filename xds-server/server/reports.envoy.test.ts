import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Client, credentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  adsBootstrap,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  versionsUnderTest,
  waitFor,
} from "../../envoy/harness/index.ts";
import { decode, type ProtoObject, TypeUrl } from "../../protos/index.ts";
import { createResource, createSnapshot, SnapshotCache, updateSnapshot } from "../cache/index.ts";
import { silentLogger } from "../log.ts";
import { FETCH_STATUS_PATH } from "./client-status.ts";
import { LoadReports } from "./load-reports.ts";
import { createMetrics } from "./metrics.ts";
import { nodeStatuses, StreamRegistry } from "./stream-registry.ts";
import { startXdsServer, type XdsServer } from "./xds-server.ts";

/** What a real Envoy reports of itself: its load, and what it has (its own client status against this server's). */

const LOCALITY = { region: "r1", zone: "z1", sub_zone: "s1" };

function unchecked(listener: JsonObject): JsonObject {
  const text = JSON.stringify(listener).replace('"route_config":{', '"route_config":{"validate_clusters":false,');
  return JSON.parse(text) as JsonObject;
}

describe.each(versionsUnderTest())("reports of a real Envoy, %s", (version) => {
  let upstream: Server;
  const held: ServerResponse[] = [];
  let xds: XdsServer;
  let envoy: EnvoyProcess;
  let loads: LoadReports;
  let cache: SnapshotCache;
  let registry: StreamRegistry;
  let port: number;

  beforeEach(async () => {
    upstream = createServer((request, response) => {
      if (request.url === "/held") held.push(response);
      else response.writeHead(request.url === "/fail" ? 500 : 200).end();
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    port = (upstream.address() as AddressInfo).port;
    loads = new LoadReports({ intervalMs: 500 });
    registry = new StreamRegistry();
    cache = new SnapshotCache();
    const eds_cluster_config = { eds_config: { ads: {}, resource_api_version: "V3" }, service_name: "a" };
    cache.set(
      "default",
      createSnapshot([
        createResource(
          TypeUrl.cluster,
          "a",
          { name: "a", type: "EDS", eds_cluster_config, connect_timeout: { seconds: 1 } },
          [{ typeUrl: TypeUrl.endpoints, name: "a" }],
        ),
        createResource(TypeUrl.endpoints, "a", {
          cluster_name: "a",
          endpoints: [
            {
              locality: LOCALITY,
              lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } }],
            },
          ],
        }),
      ]),
    );
    const metrics = createMetrics();
    const context = { cache, registry, loads, metrics, log: silentLogger, identifier: "t", now: Date.now };
    xds = await startXdsServer("127.0.0.1:0", context);
    const base = adsBootstrap({ xdsAddress: xds.address, nodeId: "reports", cluster: "t", protocol: "delta" });
    const bootstrap: JsonObject = {
      ...base,
      cluster_manager: {
        load_stats_config: {
          api_type: "GRPC",
          transport_api_version: "V3",
          grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
        },
      },
      static_resources: {
        ...(base.static_resources as JsonObject),
        // Its route is read before the cluster is there.
        listeners: [unchecked(httpListener({ name: "in", routes: [{ cluster: "a" }] }))],
      },
    };
    envoy = await EnvoyProcess.start({
      version,
      bootstrap,
      allowErrors: [/gRPC config/, /AggregatedResources/, /load/i],
    });
    await waitFor(() => nodeStatuses(registry)[0]?.settled === true && loads.reporters === 1, {
      timeoutMs: 10_000,
      what: "the configuration and the stream of load reports",
    });
  });
  afterEach(async () => {
    for (const response of held.splice(0)) response.end();
    await envoy.stop();
    await xds.close();
    upstream.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
  });

  it("load by cluster, locality and endpoint; an endpoint is idle when its last request has ended", async () => {
    const address = await envoy.listenerAddress("in");
    const get = (path: string) => fetch(`http://${address}${path}`).then((response) => response.arrayBuffer());
    const open = get("/held");
    const view = () => loads.view().clusters.find(({ cluster }) => cluster === "a");
    // Envoy 1.36 names a place only when there were new requests.
    const asking = async (what: string, done: () => boolean) => {
      await waitFor(() => get("/").then(() => get("/fail").then(done)), { timeoutMs: 10_000, what });
    };
    await asking("the request under way", () => view()?.inProgress === 1);
    expect(view()?.localities).toMatchObject([{ region: "r1", zone: "z1", subZone: "s1", priority: 0, inProgress: 1 }]);
    expect(view()?.successfulPerSecond).toBeGreaterThan(0);
    expect(view()?.errorsPerSecond).toBeGreaterThan(0);
    expect(loads.inProgress("127.0.0.1", port)).toBe(1);
    for (const response of held.splice(0)) response.end();
    await open;
    await asking("the end of the request", () => loads.inProgress("127.0.0.1", port) === 0);
    expect(loads.inProgress("127.0.0.1", port + 1)).toBeUndefined();
  });

  interface DumpedCluster {
    readonly version_info?: string;
    readonly cluster?: { readonly name?: string };
    readonly error_state?: { readonly version_info?: string; readonly details?: string };
  }

  it("what it has is what it says itself, with a rejected resource and its reason", async () => {
    const dumped = async (list: string): Promise<readonly DumpedCluster[]> => {
      const text = await envoy.admin.get(`/config_dump?resource=${list}`);
      return (JSON.parse(text) as { configs?: readonly DumpedCluster[] }).configs ?? [];
    };
    const ofServer = async () => {
      const { config } = await clientStatus(xds.address);
      const [node] = config as readonly { node: ProtoObject; generic_xds_configs: readonly ProtoObject[] }[];
      expect(node?.node).toMatchObject({ id: "reports", cluster: "t" });
      return node?.generic_xds_configs ?? [];
    };
    const [active] = await dumped("dynamic_active_clusters");
    expect(await ofServer()).toMatchObject([
      {
        ...{ type_url: TypeUrl.cluster, name: active?.cluster?.name, version_info: active?.version_info },
        ...{ client_status: "ACKED", config_status: "SYNCED", xds_config: { type_url: TypeUrl.cluster } },
      },
      { type_url: TypeUrl.endpoints, name: "a", client_status: "ACKED", config_status: "SYNCED" },
    ]);

    const bad = { name: "bad", type: "STATIC", connect_timeout: { seconds: 0 } };
    const before = cache.get("default");
    if (before === undefined) throw new Error("nothing is served");
    cache.set("default", updateSnapshot(before, [createResource(TypeUrl.cluster, "bad", bad)]));
    await waitFor(() => registry.nacks.size > 0, { timeoutMs: 5_000, what: "the NACK" });
    const [rejected] = await dumped("dynamic_warming_clusters");
    const rejectedHere = (await ofServer()).find(({ name }) => name === "bad");
    expect(rejectedHere).toMatchObject({
      ...{ client_status: "NACKED", config_status: "ERROR" },
      error_state: { details: expect.stringContaining("ConnectTimeout") },
    });
    // Envoy shows only what it has taken in; a cluster that it has never accepted is not among its own.
    expect(rejected).toBeUndefined();
    expect(registry.nacks.entries()).toMatchObject([{ node: "reports", type: "CDS", resource: "bad", code: 13 }]);
  });
});

/** `FetchClientStatus` for everybody, decoded. */
async function clientStatus(address: string): Promise<ProtoObject> {
  const client = new Client(address, credentials.createInsecure());
  const pass = (bytes: Buffer): Buffer => bytes;
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(FETCH_STATUS_PATH, pass, pass, Buffer.alloc(0), (error, answer) => {
        if (error === null) resolve(decode("envoy.service.status.v3.ClientStatusResponse", answer ?? Buffer.alloc(0)));
        else reject(error);
      });
    });
  } finally {
    client.close();
  }
}
