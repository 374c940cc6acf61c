/** Objects of the API server as JSON -> what discovery needs of them, and no more: a cluster has a hundred times more than that. */
import type { RawObject } from "../../kubernetes/index.ts";
import { MAX_ENDPOINTS_PER_SLICE, MAX_METADATA, MAX_METADATA_VALUE, MAX_PORTS } from "./limits.ts";

/** Labels and annotations of one object; a label goes before an annotation of the same name. */
export type Metadata = ReadonlyMap<string, string>;

export interface ServicePort {
  /** "" where the only port has no name. */
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

export interface Service {
  readonly metadata: Metadata;
  readonly ports: readonly ServicePort[];
  /** `IPv4` or `IPv6`: the first family of the Service; undefined when it says none. */
  readonly family: string | undefined;
}

export interface SliceEndpoint {
  readonly address: string;
  readonly ready: boolean;
  readonly terminating: boolean;
  readonly zone: string | undefined;
  readonly node: string | undefined;
  /** `namespace/name` of its pod. */
  readonly pod: string | undefined;
}

export interface Slice {
  /** Name of the Service it belongs to. */
  readonly service: string;
  readonly family: string;
  readonly ports: readonly ServicePort[];
  readonly endpoints: readonly SliceEndpoint[];
}

export function readService(object: RawObject): Service {
  const spec = record(object.spec);
  const family = list(spec.ipFamilies)[0];
  return {
    metadata: readMetadata(object),
    ports: readPorts(spec.ports),
    family: typeof family === "string" ? family : undefined,
  };
}

/** https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesioservice-name */
const SERVICE_NAME = "kubernetes.io/service-name";

/** undefined for a slice of no Service, and for one of names instead of addresses. */
export function readSlice(object: RawObject): Slice | undefined {
  const service = record(record(object.metadata).labels)[SERVICE_NAME];
  const family = object.addressType;
  if (typeof service !== "string" || service === "" || (family !== "IPv4" && family !== "IPv6")) return undefined;
  const { namespace } = record(object.metadata);
  const endpoints = list(object.endpoints).slice(0, MAX_ENDPOINTS_PER_SLICE);
  return {
    service,
    family,
    ports: readPorts(object.ports),
    endpoints: endpoints.flatMap((each) => readEndpoint(record(each), text(namespace) ?? "") ?? []),
  };
}

/** https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions */
function readEndpoint(endpoint: RawObject, namespace: string): SliceEndpoint | undefined {
  // All addresses of an endpoint are the same backend; everybody uses the first.
  const [address] = list(endpoint.addresses);
  if (typeof address !== "string") return undefined;
  const { ready, terminating } = record(endpoint.conditions);
  const target = record(endpoint.targetRef);
  const pod = target.kind === "Pod" ? text(target.name) : undefined;
  return {
    address,
    ready: ready !== false,
    terminating: terminating === true,
    zone: text(endpoint.zone),
    node: text(endpoint.nodeName),
    pod: pod === undefined ? undefined : `${text(target.namespace) ?? namespace}/${pod}`,
  };
}

function readPorts(ports: unknown): readonly ServicePort[] {
  return list(ports)
    .slice(0, MAX_PORTS)
    .flatMap((each) => {
      const { name, port, protocol } = record(each);
      if (typeof port !== "number") return [];
      return [{ name: text(name) ?? "", port, protocol: text(protocol) ?? "TCP" }];
    });
}

/** Names of Kubernetes' own domains say how the cluster runs, not what an endpoint is; topology is said elsewhere. */
const OWN = /(^|\.)(kubernetes\.io|k8s\.io|topology\.istio\.io)\//;

export function readMetadata(object: RawObject): Metadata {
  const { labels, annotations } = record(object.metadata);
  const found = new Map<string, string>();
  for (const source of [labels, annotations]) {
    for (const [name, value] of Object.entries(record(source))) {
      if (typeof value !== "string" || value.length > MAX_METADATA_VALUE || OWN.test(name)) continue;
      if (found.size < MAX_METADATA && !found.has(name)) found.set(name, value);
    }
  }
  return found;
}

export interface Node {
  readonly region: string | undefined;
  readonly zone: string | undefined;
  readonly subZone: string | undefined;
  readonly metadata: Metadata;
}

/** https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone; sub-zones are Istio's. */
export function readNode(object: RawObject): Node {
  const labels = record(record(object.metadata).labels);
  const annotations = {};
  return {
    region: text(labels["topology.kubernetes.io/region"]),
    zone: text(labels["topology.kubernetes.io/zone"]),
    subZone: text(labels["topology.istio.io/subzone"]),
    // Annotations of nodes are notes of the programs that run the cluster, and change with every heartbeat of some.
    metadata: readMetadata({ metadata: { labels, annotations } }),
  };
}

export function sameMetadata(a: Metadata, b: Metadata): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name) === value);
}

export function sameNode(a: Node, b: Node): boolean {
  if (a.region !== b.region || a.zone !== b.zone || a.subZone !== b.subZone) return false;
  return sameMetadata(a.metadata, b.metadata);
}

function record(value: unknown): RawObject {
  return typeof value === "object" && value !== null ? (value as RawObject) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A text that says something. */
function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
