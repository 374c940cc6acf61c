/** A Service with its EndpointSlices, Nodes and Pods -> endpoints. */
import type { RawEndpoint } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import type { EndpointHealth } from "../source.ts";
import type { Metadata, Node, Service, ServicePort, Slice, SliceEndpoint } from "./objects.ts";

/** Weight of a Service's endpoints, or of one pod: a whole number; 0 drains. */
export const WEIGHT = "tokenmesh.io/weight";

export interface Around {
  readonly nodes: ReadonlyMap<string, Node>;
  /** By `namespace/name`; empty when pods are not read. */
  readonly pods: ReadonlyMap<string, Metadata>;
}

/**
 * The endpoints of a service, unchecked. O(endpoints).
 * @param port name or number of the Service's port; its first TCP port when undefined
 * @throws DiscoveryError TM_DISCOVERY_FAILED when the Service has no such port
 */
export function rawEndpoints(
  name: string,
  service: Service,
  slices: Iterable<Slice>,
  { nodes, pods }: Around,
  port?: string,
): RawEndpoint[] {
  const all = [...slices];
  const choose = portChooser(name, service, port);
  // Slices of a dual-stack Service name each pod twice, once per family.
  const family = service.family ?? (all.some((slice) => slice.family === "IPv4") ? "IPv4" : "IPv6");
  return all
    .filter((slice) => slice.family === family)
    .flatMap((slice) => {
      const chosen = choose(slice.ports);
      if (chosen === undefined) return [];
      const ports = new Map(slice.ports.filter(isNamedTcp).map((each) => [each.name, each.port]));
      return slice.endpoints.map((endpoint) => {
        const node = endpoint.node === undefined ? undefined : nodes.get(endpoint.node);
        const pod = endpoint.pod === undefined ? undefined : pods.get(endpoint.pod);
        return {
          id: endpoint.pod ?? `${endpoint.address}:${chosen}`,
          address: endpoint.address,
          port: chosen,
          ports,
          weight: weightOf(pod) ?? weightOf(service.metadata),
          health: healthOf(endpoint),
          locality: {
            region: node?.region ?? "",
            zone: endpoint.zone ?? node?.zone ?? "",
            subZone: node?.subZone ?? "",
          },
          // The nearer to the endpoint, the stronger.
          metadata: new Map([...(node?.metadata ?? []), ...service.metadata, ...(pod ?? [])]),
        };
      });
    });
}

/** A pod that terminates takes nothing new even when it still answers its probes; what it is working on goes on. */
function healthOf({ ready, terminating }: SliceEndpoint): EndpointHealth {
  if (terminating) return "draining";
  return ready ? "healthy" : "unhealthy";
}

function weightOf(metadata: Metadata | undefined): number | undefined {
  const text = metadata?.get(WEIGHT);
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** Slices have ports by name, with the numbers of their pods; the Service says which name is meant. */
function portChooser(name: string, { ports }: Service, wanted: string | undefined) {
  const number = wanted !== undefined && /^\d+$/.test(wanted) ? Number(wanted) : undefined;
  // A headless Service need not name ports: then a number is that of the pods.
  if (ports.length === 0 && number !== undefined) return () => number;
  const chosen =
    wanted === undefined
      ? (ports.find(({ protocol }) => protocol === "TCP") ?? ports[0])
      : ports.find((each) => (number === undefined ? each.name === wanted : each.port === number));
  if (chosen === undefined) {
    const known = ports.map((each) => (each.name === "" ? `${each.port}` : `${each.name} (${each.port})`));
    const has = known.length === 0 ? "it has none" : `it has ${known.join(", ").slice(0, 200)}`;
    throw new DiscoveryError("TM_DISCOVERY_FAILED", `service ${name} has no port${wanted ? ` ${wanted}` : ""}; ${has}`);
  }
  return (all: readonly ServicePort[]) => all.find((each) => each.name === chosen.name)?.port;
}

function isNamedTcp({ name, protocol }: ServicePort): boolean {
  return name !== "" && protocol === "TCP";
}
