/**
 * ClusterLoadAssignment on the wire, written by hand: of all resources it is the one that changes all day, and when the weight of one endpoint does, all endpoints of its
 * cluster are written anew. Byte for byte what codec.ts makes of the same message.
 *
 *   ClusterLoadAssignment  cluster_name = 1, endpoints = 2 (LocalityLbEndpoints)
 *   LocalityLbEndpoints    locality = 1 (Locality), lb_endpoints = 2 (LbEndpoint), load_balancing_weight = 3 (UInt32Value), priority = 5
 *   Locality               region = 1, zone = 2, sub_zone = 3
 *   LbEndpoint             endpoint = 1 (Endpoint: address = 1), health_status = 2, metadata = 3, load_balancing_weight = 4 (UInt32Value)
 *   Address                socket_address = 1 (address = 2, port_value = 3), pipe = 2 (path = 1)
 */
import { ReverseWriter } from "./reverse-writer.ts";
import { TypeUrl } from "./type-urls.ts";

/** `envoy.config.core.v3.HealthStatus`, what of it a management server says. */
export const HealthStatus = { HEALTHY: 1, UNHEALTHY: 2, DRAINING: 3, DEGRADED: 5 } as const;

/** One of {@link HealthStatus}. */
export type HealthStatus = (typeof HealthStatus)[keyof typeof HealthStatus];

export interface AssignedEndpoint {
  /** An IP address or a host name; without a port, the path of a Unix socket. */
  readonly address: string;
  /** 0 to 65,535. */
  readonly port: number | undefined;
  /** One of {@link HealthStatus}. */
  readonly health?: number | undefined;
  /** 1 to 4,294,967,295. */
  readonly weight?: number | undefined;
}

export interface AssignedLocality {
  readonly locality?: { readonly region: string; readonly zone: string; readonly subZone: string } | undefined;
  readonly endpoints: readonly AssignedEndpoint[];
  /** Of the locality; 1 to 4,294,967,295. */
  readonly weight?: number | undefined;
  /** 0, the first one, to 127. */
  readonly priority?: number | undefined;
}

/** One for all: nothing waits while it is written to. */
const writer = new ReverseWriter();

/**
 * The encoded `google.protobuf.Any` of an assignment. Half a surrogate pair in a text becomes U+FFFD. O(bytes).
 * @param metadata of every endpoint: an encoded `envoy.config.core.v3.Metadata`
 */
export function encodeLoadAssignment(
  clusterName: string,
  localities: readonly AssignedLocality[],
  metadata?: Uint8Array,
): Uint8Array {
  writer.begin();
  for (let index = localities.length - 1; index >= 0; index--) {
    const locality = localities[index];
    if (locality !== undefined) writeLocality(locality, metadata);
  }
  writer.string(0x0a, clusterName);
  writer.message(0x12, 0);
  writer.string(0x0a, TypeUrl.endpoints);
  return writer.finish();
}

function writeLocality(assigned: AssignedLocality, metadata: Uint8Array | undefined): void {
  const { locality, endpoints, weight, priority = 0 } = assigned;
  const before = writer.length;
  if (priority > 0) writer.uint32(0x28, priority);
  if (weight !== undefined) writeWrapped(0x1a, weight);
  for (let index = endpoints.length - 1; index >= 0; index--) {
    const endpoint = endpoints[index];
    if (endpoint !== undefined) writeEndpoint(endpoint, metadata);
  }
  if (locality !== undefined) {
    const beforePlace = writer.length;
    writer.string(0x1a, locality.subZone);
    writer.string(0x12, locality.zone);
    writer.string(0x0a, locality.region);
    writer.message(0x0a, beforePlace);
  }
  writer.message(0x12, before);
}

function writeEndpoint({ address, port, health, weight }: AssignedEndpoint, metadata: Uint8Array | undefined): void {
  const before = writer.length;
  if (weight !== undefined) writeWrapped(0x22, weight);
  if (metadata !== undefined) writer.bytes(0x1a, metadata);
  if (health !== undefined) writer.uint32(0x10, health);
  const beforeAddress = writer.length;
  if (port === undefined) {
    writer.string(0x0a, address);
    writer.message(0x12, beforeAddress);
  } else {
    writer.uint32(0x18, port);
    writer.string(0x12, address);
    writer.message(0x0a, beforeAddress);
  }
  writer.message(0x0a, beforeAddress);
  writer.message(0x0a, beforeAddress);
  writer.message(0x12, before);
}

/** A UInt32Value. */
function writeWrapped(tag: number, value: number): void {
  const before = writer.length;
  writer.uint32(0x08, value);
  writer.message(tag, before);
}
