/**
 * DiscoveryRequest and DiscoveryResponse on the wire. A response is put together from resources that are already encoded: their bytes are
 * copied behind a small head, never encoded again per stream.
 *
 * `envoy.service.discovery.v3.DiscoveryResponse`: version_info = 1, resources = 2 (Any), type_url = 4, nonce = 5, control_plane = 6.
 */
import protobuf from "protobufjs";
import { decode, type ProtoObject } from "../../protos/index.ts";
import type { NodeIdentity } from "../cache/index.ts";
import type { DiscoveryRequest, PlannedResponse } from "../stream/index.ts";

export interface ReceivedRequest {
  readonly request: DiscoveryRequest;
  /** Envoy sends its node on the first request of a stream only. */
  readonly node: NodeIdentity | undefined;
}

/** @throws Error when the bytes are no DiscoveryRequest */
export function decodeRequest(bytes: Uint8Array): ReceivedRequest {
  const message = decode("envoy.service.discovery.v3.DiscoveryRequest", bytes);
  const node = objectOf(message.node);
  const error = objectOf(message.error_detail);
  const names = message.resource_names;
  return {
    request: {
      typeUrl: textOf(message.type_url),
      versionInfo: textOf(message.version_info),
      resourceNames: Array.isArray(names) ? names.map(textOf) : [],
      responseNonce: textOf(message.response_nonce),
      ...(error === undefined
        ? {}
        : { errorDetail: { code: typeof error.code === "number" ? error.code : 0, message: textOf(error.message) } }),
    },
    node: node === undefined ? undefined : { id: textOf(node.id), cluster: textOf(node.cluster) },
  };
}

const VERSION_INFO = 0x0a;
const RESOURCES = 0x12;
const TYPE_URL = 0x22;
const NONCE = 0x2a;
const CONTROL_PLANE = 0x32;

/** @param identifier names this server in `control_plane.identifier`; Envoy shows it as the text stat `control_plane.identifier` */
export function encodeResponse(response: PlannedResponse, identifier: string): Buffer {
  const writer = protobuf.Writer.create();
  writer.uint32(VERSION_INFO).string(response.version);
  for (const { any } of response.resources) writer.uint32(RESOURCES).bytes(any);
  writer.uint32(TYPE_URL).string(response.typeUrl).uint32(NONCE).string(response.nonce);
  writer.uint32(CONTROL_PLANE).fork().uint32(VERSION_INFO).string(identifier).ldelim();
  const bytes = writer.finish();
  // A view, not a copy.
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function objectOf(value: ProtoObject[string]): ProtoObject | undefined {
  if (typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array) return undefined;
  return value as ProtoObject;
}

function textOf(value: ProtoObject[string]): string {
  return typeof value === "string" ? value : "";
}
