/**
 * The Client Status Discovery Service: what each connected client was sent, and what it made of it, resource by resource.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/status/v3/csds.proto
 *
 * A caller sees the nodes of those groups that he could be served himself.
 */
import { type Resource, TYPE_NAMES, typeSnapshot } from "../cache/index.ts";
import { CallError, type Peer, Status, type StreamCall, type UnaryMethod } from "../grpc/index.ts";
import { type ClientResource, clientResources, type WatchedResource } from "../stream/index.ts";
import {
  ClientStatus,
  type ClientStatusRequest,
  ConfigStatus,
  decodeStatusRequest,
  encodeNodeConfig,
  type ResourceStatus,
} from "./client-status-wire.ts";
import { MAX_STATUS_BYTES } from "./limits.ts";
import type { StreamContext } from "./stream-context.ts";
import type { ConnectedStream } from "./stream-registry.ts";

const SERVICE = "/envoy.service.status.v3.ClientStatusDiscoveryService";
export const STREAM_STATUS_PATH = `${SERVICE}/StreamClientStatus`;
export const FETCH_STATUS_PATH = `${SERVICE}/FetchClientStatus`;

export type ClientStatusContext = Pick<StreamContext, "registry" | "authorize">;

export function fetchClientStatus(context: ClientStatusContext): UnaryMethod {
  return (message, { peer }) => statusResponse(context, peer, decodeStatusRequest(message));
}

/** Each request is answered. */
export function serveClientStatus(call: StreamCall, context: ClientStatusContext): void {
  let full = false;
  call.onMessage = (message) => {
    if (full) throw new CallError(Status.resourceExhausted, "read the answers before you ask again");
    full = !call.write(statusResponse(context, call.peer, decodeStatusRequest(message)));
  };
  call.onDrain = () => {
    full = false;
  };
  call.onHalfClose = () => call.end(Status.ok);
}

function statusResponse(
  { registry, authorize }: ClientStatusContext,
  peer: Peer,
  { matches, withContents }: ClientStatusRequest,
): Uint8Array {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (const stream of registry) {
    const { node, group, service, variant } = stream;
    if (!matches(node) || authorize(peer, node, group) !== undefined) continue;
    const part = encodeNodeConfig({
      node,
      scope: `${service} ${variant}`,
      resources: [...statuses(stream, withContents)],
    });
    bytes += part.length;
    if (bytes > MAX_STATUS_BYTES) {
      throw new CallError(
        Status.resourceExhausted,
        `the answer has more than ${MAX_STATUS_BYTES} bytes; ask for fewer nodes (node_matchers) or without contents (exclude_resource_contents)`,
      );
    }
    parts.push(part);
  }
  return Buffer.concat(parts, bytes);
}

function* statuses({ watches, snapshot }: ConnectedStream, withContents: boolean): Iterable<ResourceStatus> {
  for (const watch of watches.values()) {
    const { resources } = typeSnapshot(snapshot, watch.typeUrl);
    for (const resource of clientResources(watch)) {
      const offered = resources.get(resource.name);
      const content = withContents && offered?.version === resource.version ? shown(offered) : undefined;
      yield { ...statusOf(resource, watch), typeUrl: watch.typeUrl, name: resource.name, any: content };
    }
  }
}

/** Keys and passwords are nobody's business. */
function shown(resource: Resource): Uint8Array | undefined {
  return TYPE_NAMES[resource.typeUrl] === "SDS" || (resource.secrets?.length ?? 0) > 0 ? undefined : resource.any;
}

function statusOf(
  { version, heldVersion, status }: ClientResource,
  { nack }: Readonly<WatchedResource>,
): Pick<ResourceStatus, "version" | "configStatus" | "clientStatus" | "error"> {
  switch (status) {
    case "acked":
      return { version, configStatus: ConfigStatus.synced, clientStatus: ClientStatus.acked };
    case "nacked":
      return {
        // As Envoy has it: the version that is in force, and the rejected one with the error.
        version: heldVersion,
        configStatus: ConfigStatus.error,
        clientStatus: ClientStatus.nacked,
        ...(nack === undefined ? {} : { error: { at: nack.at, details: nack.message, version } }),
      };
    case "sent":
      return {
        version: heldVersion,
        configStatus: ConfigStatus.stale,
        clientStatus: heldVersion === "" ? ClientStatus.requested : ClientStatus.acked,
      };
    case "missing":
      return { version: "", configStatus: ConfigStatus.notSent, clientStatus: ClientStatus.doesNotExist };
    default:
      return {
        version: heldVersion,
        configStatus: ConfigStatus.notSent,
        clientStatus: heldVersion === "" ? ClientStatus.requested : ClientStatus.acked,
      };
  }
}
