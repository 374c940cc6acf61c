import { afterEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { type ProtoObject, TypeUrl } from "../../protos/index.ts";
import { createResource, createSnapshot, type Resource, SnapshotCache } from "../cache/index.ts";
import { silentLogger } from "../log.ts";
import { createMetrics } from "./metrics.ts";
import { nodeStatuses, StreamRegistry } from "./stream-registry.ts";
import { startXdsServer } from "./xds-server.ts";

/** Protocol behaviour that only a real Envoy shows: rejections, and warming after a cluster change. */

function edsCluster(name: string, fields: ProtoObject = {}): Resource {
  const eds_cluster_config = { eds_config: { ads: {}, resource_api_version: "V3" }, service_name: name };
  const object = { name, type: "EDS", eds_cluster_config, connect_timeout: { seconds: 1 }, ...fields };
  return createResource(TypeUrl.cluster, name, object, [{ typeUrl: TypeUrl.endpoints, name }]);
}

function endpoints(name: string): Resource {
  const address = { socket_address: { address: "127.0.0.1", port_value: 1 } };
  return createResource(TypeUrl.endpoints, name, {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
  });
}

const variants = versionsUnderTest().flatMap((version) => [[version, "sotw"] as const, [version, "delta"] as const]);

describe.each(variants)("against a real Envoy, %s, %s", (version, protocol) => {
  const toStop: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  async function start(...resources: readonly Resource[]) {
    const cache = new SnapshotCache();
    const registry = new StreamRegistry();
    const metrics = createMetrics();
    cache.set("default", createSnapshot(resources));
    const ads = await startXdsServer("127.0.0.1:0", {
      cache,
      registry,
      metrics,
      log: silentLogger,
      identifier: "t",
      now: Date.now,
    });
    toStop.push(() => ads.close());
    const envoy = await EnvoyProcess.start({
      version,
      bootstrap: adsBootstrap({ xdsAddress: ads.address, nodeId: "nack-test", cluster: "t", protocol }),
      allowErrors: [/gRPC config/, /AggregatedResources/],
    });
    toStop.push(() => envoy.stop());
    const pushes = async () => (await metrics.registry.metrics()).match(/pushes_total\{type="CDS"\} (\d+)/)?.[1];
    const state = () => nodeStatuses(registry)[0]?.types.CDS;
    return { cache, envoy, pushes, state };
  }

  it("shows which resource was rejected and why, does not send it again, and clears it with the next good one", async () => {
    const { cache, envoy, pushes, state } = await start(edsCluster("a"), endpoints("a"));
    await waitFor(() => state()?.state === "synced", { timeoutMs: 5_000, what: "the first ACK" });
    const bad = createResource(TypeUrl.cluster, "bad", {
      name: "bad",
      type: "STATIC",
      connect_timeout: { seconds: 0 },
    });
    cache.set("default", createSnapshot([edsCluster("a"), endpoints("a"), bad]));
    await waitFor(() => state()?.state === "nacked", { timeoutMs: 5_000, what: "the NACK" });
    expect(state()?.nack).toMatchObject({ resources: ["bad"], message: expect.stringContaining("ConnectTimeout") });
    const sent = await pushes();
    // A loop would be at full speed: by the time Envoy has answered ten admin requests there would be thousands.
    for (let i = 0; i < 10; i++) await envoy.admin.get("/stats?filter=cluster_manager.cds");
    expect(await pushes()).toBe(sent);
    expect(
      (await envoy.admin.stats("cluster_manager.cds.update_rejected")).get("cluster_manager.cds.update_rejected"),
    ).toBe(1);
    cache.set("default", createSnapshot([edsCluster("a"), endpoints("a"), edsCluster("bad"), endpoints("bad")]));
    await waitFor(() => state()?.state === "synced", { timeoutMs: 5_000, what: "the ACK" });
  });

  it("a changed EDS cluster does not stay in warming", async () => {
    const { cache, envoy, state } = await start(edsCluster("a"), endpoints("a"));
    await waitFor(() => state()?.state === "synced", { timeoutMs: 5_000, what: "the first ACK" });
    const version = state()?.ackedVersion;
    cache.set("default", createSnapshot([edsCluster("a", { connect_timeout: { seconds: 2 } }), endpoints("a")]));
    // Without the repeated endpoints Envoy waits for 15 s.
    await waitFor(() => state()?.state === "synced" && state()?.ackedVersion !== version, {
      timeoutMs: 5_000,
      what: "the end of warming",
    });
    expect((await envoy.admin.stats("cluster_manager.warming_clusters")).get("cluster_manager.warming_clusters")).toBe(
      0,
    );
  });
});
