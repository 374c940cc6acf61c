/**
 * The Client Status Discovery Service on the wire.
 *
 * `envoy.service.status.v3.ClientStatusRequest`: node_matchers = 1 (NodeMatcher {node_id = 1, node_metadatas = 2}), exclude_resource_contents = 3.
 * `ClientStatusResponse`: config = 1 (ClientConfig {node = 1 (as in node-wire.ts), generic_xds_configs = 3, client_scope = 4}). `GenericXdsConfig`: type_url = 1, name = 2,
 * version_info = 3, xds_config = 4 (Any), config_status = 6, client_status = 7, error_state = 8 (UpdateFailureState {last_update_attempt = 2,
 * details = 3, version_info = 4}). `StringMatcher`: exact = 1, prefix = 2, suffix = 3, safe_regex = 5, ignore_case = 6, contains = 7.
 */
import protobuf from "protobufjs";
import type { NodeIdentity } from "../cache/index.ts";
import { CallError, Status } from "../grpc/index.ts";
import { MAX_NODE_MATCHERS } from "./limits.ts";
import { fieldsOf, skip } from "./node-wire.ts";

/** `envoy.service.status.v3.ConfigStatus`. */
export const ConfigStatus = { synced: 1, notSent: 2, stale: 3, error: 4 } as const;
export type ConfigStatus = (typeof ConfigStatus)[keyof typeof ConfigStatus];

/** `envoy.admin.v3.ClientResourceStatus`. */
export const ClientStatus = { requested: 1, doesNotExist: 2, acked: 3, nacked: 4 } as const;
export type ClientStatus = (typeof ClientStatus)[keyof typeof ClientStatus];

export interface ClientStatusRequest {
  /** Whether a node is asked for. */
  readonly matches: (node: NodeIdentity) => boolean;
  readonly withContents: boolean;
}

export interface ResourceStatus {
  readonly typeUrl: string;
  readonly name: string;
  readonly version: string;
  /** Encoded google.protobuf.Any; undefined when it is not to be shown. */
  readonly any: Uint8Array | undefined;
  readonly configStatus: ConfigStatus;
  readonly clientStatus: ClientStatus;
  readonly error?: { readonly at: number; readonly details: string; readonly version: string };
}

export interface NodeConfig {
  readonly node: NodeIdentity;
  /** Which of the node's streams it is, for people. */
  readonly scope: string;
  readonly resources: readonly ResourceStatus[];
}

/** @throws CallError for bytes that are no request, and for matchers that this server does not understand: leaving one out would show more than was asked for */
export function decodeStatusRequest(bytes: Uint8Array): ClientStatusRequest {
  try {
    const reader = protobuf.Reader.create(bytes);
    const matchers: ((node: NodeIdentity) => boolean)[] = [];
    let withContents = true;
    for (const [field, wire] of fieldsOf(reader, bytes.length)) {
      if (field === 1 && wire === 2) matchers.push(readNodeMatcher(reader));
      else if (field === 3 && wire === 0) withContents = !reader.bool();
      else skip(reader, wire);
      if (matchers.length > MAX_NODE_MATCHERS) throw unsupported(`more than ${MAX_NODE_MATCHERS} node matchers`);
    }
    return { withContents, matches: (node) => matchers.length === 0 || matchers.some((each) => each(node)) };
  } catch (error) {
    if (error instanceof CallError) throw error;
    throw unsupported("not a ClientStatusRequest");
  }
}

function readNodeMatcher(reader: protobuf.Reader): (node: NodeIdentity) => boolean {
  let matchesId: (text: string) => boolean = () => true;
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 2) throw unsupported("node_metadatas is not supported");
    if (field === 1 && wire === 2) matchesId = readStringMatcher(reader);
    else skip(reader, wire);
  }
  return ({ id }) => matchesId(id);
}

const TESTS: Readonly<Record<number, (text: string, part: string) => boolean>> = {
  1: (text, part) => text === part,
  2: (text, part) => text.startsWith(part),
  3: (text, part) => text.endsWith(part),
  7: (text, part) => text.includes(part),
};

function readStringMatcher(reader: protobuf.Reader): (text: string) => boolean {
  let test: ((text: string, part: string) => boolean) | undefined;
  let part = "";
  let ignoreCase = false;
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 6 && wire === 0) ignoreCase = reader.bool();
    else if (TESTS[field] !== undefined && wire === 2) {
      test = TESTS[field];
      part = reader.string();
    } else throw unsupported("node_id is matched by exact, prefix, suffix or contains");
  }
  const cased = (text: string) => (ignoreCase ? text.toLowerCase() : text);
  return (text) => test?.(cased(text), cased(part)) ?? true;
}

function unsupported(message: string): CallError {
  return new CallError(Status.invalidArgument, message);
}

/** One entry of ClientStatusResponse.config, with its tag: a response is one behind the other. */
export function encodeNodeConfig({ node, scope, resources }: NodeConfig): Uint8Array {
  const writer = protobuf.Writer.create().uint32(0x0a).fork();
  writer.uint32(0x0a).fork();
  writer.uint32(0x0a).string(node.id).uint32(0x12).string(node.cluster);
  const { region, zone, subZone } = node.locality;
  if (region !== "" || zone !== "" || subZone !== "") {
    writer.uint32(0x22).fork();
    writer.uint32(0x0a).string(region).uint32(0x12).string(zone).uint32(0x1a).string(subZone).ldelim();
  }
  for (const [typeUrl, params] of Object.entries(node.dynamicParameters)) {
    writer.uint32(0x62).fork().uint32(0x0a).string(typeUrl).uint32(0x12).fork();
    for (const [key, value] of Object.entries(params)) {
      writer.uint32(0x0a).fork().uint32(0x0a).string(key).uint32(0x12).string(value).ldelim();
    }
    writer.ldelim().ldelim();
  }
  writer.ldelim();
  for (const resource of resources) writeResource(writer, resource);
  return writer.uint32(0x22).string(scope).ldelim().finish();
}

function writeResource(writer: protobuf.Writer, resource: ResourceStatus): void {
  const { typeUrl, name, version, any, configStatus, clientStatus, error } = resource;
  writer.uint32(0x1a).fork();
  writer.uint32(0x0a).string(typeUrl).uint32(0x12).string(name);
  if (version !== "") writer.uint32(0x1a).string(version);
  if (any !== undefined) writer.uint32(0x22).bytes(any);
  writer.uint32(0x30).int32(configStatus).uint32(0x38).int32(clientStatus);
  if (error !== undefined) {
    writer.uint32(0x42).fork();
    writer.uint32(0x12).fork();
    writer.uint32(0x08).int64(Math.floor(error.at / 1_000));
    writer.uint32(0x10).int32((error.at % 1_000) * 1_000_000);
    writer.ldelim();
    writer.uint32(0x1a).string(error.details).uint32(0x22).string(error.version).ldelim();
  }
  writer.ldelim();
}
