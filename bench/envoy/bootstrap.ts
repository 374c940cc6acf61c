/** Bootstrap of one arm's Envoy: a listener for the load, and one for the probe with an observer in front of the same filters. */
import { join } from "node:path";
import { cluster, httpListener, type JsonObject, staticBootstrap } from "../../envoy/harness/index.ts";
import type { Arm, Surroundings } from "./arms/index.ts";
import { defaultRoute, models, routeHeader } from "./loads.ts";

export const loadListener = "load";
export const probeListener = "probe";

/** More than the largest body, so that every filter may buffer all of it. */
const bufferLimitBytes = 16 * 1024 * 1024;

export function armBootstrap(arm: Arm, around: Surroundings): JsonObject {
  const filters = arm.httpFilters(around);
  const listener = (name: string, httpFilters: JsonObject[]): JsonObject =>
    httpListener({
      name,
      bufferLimitBytes,
      codec: "HTTP1",
      httpFilters,
      routes: [
        ...models.map(({ route }) => ({ cluster: route, headers: { [routeHeader]: route } })),
        { cluster: defaultRoute },
      ],
      hcm: arm.routeList === undefined ? {} : { route_config: routeConfig(name, arm.routeList()) },
    });
  const observer = {
    name: "observer",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
      default_source_code: { filename: join(around.root, "bench/envoy/arms/usage-probe.lua") },
    },
  };
  const routeNames = [...models.map(({ route }) => route), defaultRoute];
  return staticBootstrap({
    listeners: [
      listener(loadListener, filters),
      listener(probeListener, arm.usage.kind === "metadata" ? [observer, ...filters] : filters),
    ],
    clusters: [
      ...routeNames.map((name) =>
        cluster({
          name,
          targets: [upstreamOf(around, name)],
          cluster: { per_connection_buffer_limit_bytes: bufferLimitBytes, ...arm.upstreamCluster },
        }),
      ),
      ...(arm.clusters?.(around) ?? []),
    ],
  });
}

function upstreamOf({ upstreams }: Surroundings, route: string): string {
  const address = upstreams[route];
  if (address === undefined) throw new Error(`the upstream did not open a listener for route ${route}`);
  return address;
}

const routeConfig = (name: string, routes: JsonObject[]): JsonObject => ({
  name,
  virtual_hosts: [{ name: "all", domains: ["*"], routes }],
});
