import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { adsBootstrap, EnvoyProcess, type JsonObject, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import { TypeUrl } from "../../protos/index.ts";
import { type RunningServer, startServer } from "../index.ts";
import { silentLogger } from "../log.ts";

/** A real Envoy says the dynamic parameters of its bootstrap, and is served the node group that they choose. */

const GROUPS = `
apiVersion: tokenmesh.io/v1alpha1
kind: NodeGroup
metadata: {name: blue}
spec: {match: [{dynamicParameters: {shard: blue}}]}
---
apiVersion: tokenmesh.io/v1alpha1
kind: NodeGroup
metadata: {name: green}
spec: {match: [{dynamicParameters: {${TypeUrl.listener}/shard: "gre*"}}]}
`;

const TYPE = "type.googleapis.com/envoy.extensions";

/** A cluster and a listener that only one group is served. */
const own = (group: string): string =>
  JSON.stringify({
    apiVersion: "tokenmesh.io/v1alpha1",
    kind: "EnvoyResources",
    metadata: { name: group },
    spec: {
      nodeGroups: [group],
      resources: [
        { "@type": TypeUrl.cluster, name: `cluster-${group}`, connect_timeout: "1s" },
        {
          "@type": TypeUrl.listener,
          name: `listener-${group}`,
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          filter_chains: [
            {
              filters: [
                {
                  name: "http",
                  typed_config: {
                    "@type": `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
                    stat_prefix: group,
                    route_config: { name: group },
                    http_filters: [
                      { name: "router", typed_config: { "@type": `${TYPE}.filters.http.router.v3.Router` } },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
    },
  });

const combinations = versionsUnderTest().flatMap((version) =>
  (["sotw", "delta"] as const).map((protocol) => ({ version, protocol })),
);

describe.each(combinations)("dynamic parameters of a real Envoy, $version, $protocol", ({ version, protocol }) => {
  let dir: string;
  let server: RunningServer;
  const toStop: (() => Promise<void> | void)[] = [];

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-parameters-"));
    toStop.push(() => rmSync(dir, { recursive: true, force: true }));
    writeFileSync(join(dir, "a.yaml"), [GROUPS, own("blue"), own("green"), own("default")].join("\n---\n"));
    server = await startServer({ configDir: dir, log: silentLogger, watch: { quietMs: 20 } });
    toStop.push(() => server.close());
    expect(server.configErrors()).toEqual([]);
  });
  afterEach(async () => {
    for (const stop of toStop.splice(0).reverse()) await stop();
  });

  async function start(parameters: JsonObject, change: (ads: JsonObject) => JsonObject = (ads) => ads) {
    const ads = adsBootstrap({ xdsAddress: server.xdsAddress, nodeId: "n", cluster: "t", protocol });
    const node = { ...(ads.node as JsonObject), dynamic_parameters: parameters };
    const envoy = await EnvoyProcess.start({ version, bootstrap: { ...change(ads), node } });
    toStop.push(() => envoy.stop());
    return envoy;
  }

  const named = async (envoy: EnvoyProcess): Promise<string> => {
    const texts = await Promise.all([envoy.admin.get("/clusters"), envoy.admin.get("/listeners")]);
    const names = texts.join("\n").match(/\b(cluster|listener)-(blue|green|default)\b/g) ?? [];
    return [...new Set(names)].sort().join(" ");
  };
  const nodes = async () => {
    const answer = await fetch(`${server.apiUrl}/api/v1/nodes`);
    return ((await answer.json()) as { nodes: JsonObject[] }).nodes;
  };

  it("choose its group", async () => {
    const parameters = { [TypeUrl.cluster]: { params: { shard: "blue", zone: "z" } } };
    const envoy = await start(parameters);
    await waitFor(async () => (await named(envoy)) === "cluster-blue listener-blue", { what: "what is blue" });
    expect(await nodes()).toMatchObject([
      { id: "n", group: "blue", dynamicParameters: { [TypeUrl.cluster]: { shard: "blue", zone: "z" } } },
    ]);
  });

  it("choose the group of each stream by its own type, without ADS", async () => {
    const parameters = {
      [TypeUrl.cluster]: { params: { shard: "blue" } },
      [TypeUrl.listener]: { params: { shard: "red" } },
    };
    const envoy = await start(parameters, (ads) => {
      const { ads_config, ...dynamic } = ads.dynamic_resources as JsonObject;
      const config = { resource_api_version: "V3", api_config_source: ads_config as JsonObject };
      return { ...ads, dynamic_resources: { ...dynamic, cds_config: config, lds_config: config } };
    });
    await waitFor(async () => (await named(envoy)) === "cluster-blue listener-default", {
      what: "a type of each group",
    });
    const groups = (await nodes()).map(({ service, group }) => `${service} ${group}`);
    expect(groups.sort()).toEqual(["CDS blue", "LDS default"]);
  });

  it("of one type, which the group asks for", async () => {
    const envoy = await start({ [TypeUrl.listener]: { params: { shard: "green" } } });
    await waitFor(async () => (await named(envoy)) === "cluster-green listener-green", { what: "what is green" });
  });
});
