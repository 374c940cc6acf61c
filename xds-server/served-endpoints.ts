/** The endpoints in a snapshot, one by one, as people and programs ask for them. */
import { decode, type ProtoObject, TypeUrl } from "../protos/index.ts";
import type { EndpointView } from "./api/index.ts";
import { type Resource, type Snapshot, typeSnapshot } from "./cache/index.ts";

/** Resources never change, and most of them are the same from snapshot to snapshot. */
const views = new WeakMap<Resource, readonly EndpointView[]>();

/** Of all clusters whose endpoints Envoy gets by EDS, in the order of their names; those that Envoy asks DNS for are not the server's. */
export function servedEndpoints(snapshots: readonly Snapshot[], cluster: string | undefined): readonly EndpointView[] {
  const seen = new Map<string, Resource>();
  const endpoints: EndpointView[] = [];
  for (const snapshot of snapshots) {
    const { resources } = typeSnapshot(snapshot, TypeUrl.endpoints);
    const only = cluster === undefined ? undefined : resources.get(cluster);
    if (cluster !== undefined && only === undefined) continue;
    for (const resource of only === undefined ? resources.values() : [only]) {
      const { name } = resource;
      // Groups share resources; one that another group has differently is shown as the first has it.
      if (seen.has(name)) continue;
      seen.set(name, resource);
      endpoints.push(...viewOf(resource));
    }
  }
  return endpoints;
}

function viewOf(resource: Resource): readonly EndpointView[] {
  const known = views.get(resource);
  if (known !== undefined) return known;
  const any = decode("google.protobuf.Any", resource.any);
  const assignment = decode("envoy.config.endpoint.v3.ClusterLoadAssignment", any.value as Uint8Array);
  const view = list(assignment.endpoints).flatMap((locality) =>
    list(locality.lb_endpoints).map((each) => endpointView(resource.name, locality, each)),
  );
  views.set(resource, view);
  return view;
}

function endpointView(cluster: string, locality: ProtoObject, endpoint: ProtoObject): EndpointView {
  const address = object(object(endpoint.endpoint).address);
  const socket = object(address.socket_address);
  const { region, zone, sub_zone: subZone } = object(locality.locality);
  const place = [region, zone, subZone].map((part) => (typeof part === "string" ? part : ""));
  const health = endpoint.health_status;
  return {
    cluster,
    address: text(socket.address) ?? unixAddress(text(object(address.pipe).path)) ?? "",
    port: Number(socket.port_value ?? 0),
    weight: Number(object(endpoint.load_balancing_weight).value ?? 1),
    health: typeof health === "string" ? health.toLowerCase() : "unknown",
    locality: place.join("/").replace(/\/+$/, ""),
  };
}

/** As a ServiceEntry has it. */
const unixAddress = (path: string | undefined): string | undefined => path && `unix://${path}`;
const object = (value: unknown): ProtoObject =>
  typeof value === "object" && value !== null ? (value as ProtoObject) : {};
const list = (value: unknown): readonly ProtoObject[] => (Array.isArray(value) ? (value as ProtoObject[]) : []);
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
