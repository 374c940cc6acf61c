import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, type JsonObject, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { TypeUrl } from "../../protos/index.ts";
import { AUTHORITY, ENVOY, ENVOY_SPIFFE_ID, NAMELESS, SERVER } from "../../test/fixtures/tls/index.ts";
import { createResource, createSnapshot, SnapshotCache } from "../cache/index.ts";
import { silentLogger } from "../log.ts";
import { createMetrics } from "./metrics.ts";
import { parseSpiffeRule, spiffeAuthorization } from "./spiffe-authorization.ts";
import { nodeStatuses, StreamRegistry } from "./stream-registry.ts";
import { startXdsServer } from "./xds-server.ts";

/** A real Envoy that shows a certificate and checks the server's. */

describe.each(versionsUnderTest())("mutual TLS with a real Envoy, %s", (version) => {
  const toStop: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  /** The bootstrap's xDS cluster with this certificate. */
  function withCertificate(bootstrap: JsonObject, { cert, key }: { cert: string; key: string }): JsonObject {
    const folder = mkdtempSync(join(tmpdir(), "tokenmesh-tls-"));
    toStop.push(() => rmSync(folder, { recursive: true }));
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return { filename: join(folder, name) };
    };
    const transport_socket = {
      name: "envoy.transport_sockets.tls",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni: "localhost",
        common_tls_context: {
          alpn_protocols: ["h2"],
          tls_certificates: [{ certificate_chain: file("cert.pem", cert), private_key: file("key.pem", key) }],
          validation_context: { trusted_ca: file("ca.pem", AUTHORITY) },
        },
      },
    };
    const { clusters } = bootstrap.static_resources as { clusters: readonly JsonObject[] };
    // So that an Envoy which is served nothing is ready all the same, soon.
    const config = { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0.5s" };
    const dynamic = { ...(bootstrap.dynamic_resources as JsonObject), cds_config: config, lds_config: config };
    return {
      ...bootstrap,
      dynamic_resources: dynamic,
      static_resources: { clusters: clusters.map((each) => ({ ...each, transport_socket })) },
    };
  }

  async function start(client: { cert: string; key: string }) {
    const cache = new SnapshotCache();
    cache.set("default", createSnapshot([createResource(TypeUrl.cluster, "a", { name: "a", type: "STATIC" })]));
    const registry = new StreamRegistry();
    const metrics = createMetrics();
    const xds = await startXdsServer("127.0.0.1:0", {
      ...{ cache, registry, metrics, log: silentLogger, identifier: "t", now: Date.now },
      options: {
        tls: { ...SERVER, clientCa: AUTHORITY },
        authorize: spiffeAuthorization([parseSpiffeRule(`${ENVOY_SPIFFE_ID}=default`)]),
      },
    });
    toStop.push(() => xds.close());
    const bootstrap = adsBootstrap({ xdsAddress: xds.address, nodeId: "tls", cluster: "t", protocol: "delta" });
    const envoy = await EnvoyProcess.start({
      version,
      bootstrap: withCertificate(bootstrap, client),
      allowErrors: [/gRPC config/, /AggregatedResources/],
    });
    toStop.push(() => envoy.stop());
    const refused = async () => (await metrics.registry.metrics()).includes('refused_total{code="PERMISSION_DENIED"}');
    return { registry, refused };
  }

  it("one with a SPIFFE id is served", async () => {
    const { registry } = await start(ENVOY);
    await waitFor(() => nodeStatuses(registry)[0]?.settled === true, { timeoutMs: 10_000, what: "the configuration" });
    expect(nodeStatuses(registry)[0]).toMatchObject({ id: "tls", spiffeId: ENVOY_SPIFFE_ID });
  });

  it("one without is refused and served nothing", async () => {
    const { registry, refused } = await start(NAMELESS);
    await waitFor(refused, { timeoutMs: 10_000, what: "the refusal" });
    expect(registry.size).toBe(0);
  });
});
