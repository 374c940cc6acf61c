/** Route tables: `envoy/config/route/v3/route.proto`. */
import type { ProtoObject } from "../../protos/index.ts";
import { coversHost } from "../config/host-names.ts";
import { llmClusterPrefix } from "../config/llm-cluster-name.ts";
import type { GatewayServer, LlmRouter, VirtualService } from "../config/model.ts";
import { clustersOf, httpRoutes } from "./http-routes.ts";
import { protoDuration } from "./proto-values.ts";
import { DEFAULT_RETRY, retryPolicy } from "./retry-policy.ts";
import { FLIGHTS_CLUSTER, flightRoute } from "./server-clusters.ts";
import type { ServiceIndex } from "./service-index.ts";

/** The route table of one listener, and the clusters that its routes name, in byte order. */
export interface RouteTable {
  readonly object: ProtoObject;
  readonly clusters: readonly string[];
}

interface VirtualHost {
  readonly domain: string;
  readonly routes: ProtoObject[];
  readonly catchAll: ProtoObject[];
}

/** A virtual host per host name: the route of requests that read along, the route to LLM targets first, then routes in the order of the files. */
export function routeTable(
  name: string,
  server: GatewayServer,
  virtualServices: readonly VirtualService[],
  router: LlmRouter | undefined,
  index: ServiceIndex,
  readsAlong = false,
): RouteTable {
  const byHost = new Map<string, VirtualHost>();
  const virtualHost = (domain: string): VirtualHost => {
    const entry = byHost.get(domain.toLowerCase()) ?? { domain, routes: [], catchAll: [] };
    byHost.set(domain.toLowerCase(), entry);
    return entry;
  };
  const clusters = new Set<string>();
  const llmRoutes = router !== undefined && hasClusters(router) ? [llmRoute(router)] : [];
  // A request for any host of the listener may go to a target, whether or not a VirtualService is about that host.
  if (llmRoutes.length > 0) server.hosts.forEach(virtualHost);
  for (const service of virtualServices) {
    for (const host of service.hosts) {
      const domain = servedDomain(host, server);
      if (domain === undefined) continue;
      const entry = virtualHost(domain);
      for (const [position, http] of service.http.entries()) {
        const routes = httpRoutes(service, http, position, index);
        // Several VirtualServices may share a host; a route for everything must not hide the next one's routes.
        (http.match.length === 0 ? entry.catchAll : entry.routes).push(...routes);
        for (const cluster of clustersOf(service, http, index)) clusters.add(cluster);
      }
    }
  }
  const flightRoutes = readsAlong ? [flightRoute()] : [];
  if (readsAlong) clusters.add(FLIGHTS_CLUSTER);
  const object = {
    name,
    // A client may add the port to the host name, whichever port the listener was given.
    ignore_port_in_host_matching: true,
    virtual_hosts: [...byHost.values()].map(({ domain, routes, catchAll }) => ({
      name: domain,
      domains: [domain],
      routes: [...flightRoutes, ...llmRoutes, ...routes, ...catchAll],
    })),
  };
  return { object, clusters: [...clusters].sort() };
}

function hasClusters({ spec }: LlmRouter): boolean {
  return [...spec.targets.values()].some(({ cluster }) => cluster !== undefined);
}

/**
 * The route to all targets of a router that are clusters. The filter takes the header from clients and writes it itself; that only names of this
 * router's clusters match keeps the others out of reach whatever happens to the header.
 */
function llmRoute(router: LlmRouter): ProtoObject {
  const { clusterHeader } = router.spec;
  const prefix = llmClusterPrefix(router);
  return {
    name: prefix.slice(0, -1),
    match: { prefix: "/", headers: [{ name: clusterHeader, string_match: { prefix } }] },
    // The filter's own headers say how often a pool is tried, and in which cases besides these.
    route: { cluster_header: clusterHeader, timeout: protoDuration(0), retry_policy: retryPolicy(DEFAULT_RETRY) },
  };
}

/** The host as the listener serves it: the narrower of the two patterns; undefined when it does not serve it. */
function servedDomain(host: string, server: GatewayServer): string | undefined {
  if (server.hosts.some((pattern) => coversHost(pattern, host))) return host;
  return server.hosts.find((pattern) => coversHost(host, pattern));
}
