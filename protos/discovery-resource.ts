/**
 * `envoy.service.discovery.v3.Resource` on the wire: what a delta response carries, and a state-of-the-world response that has a TTL.
 * Written by hand around an Any that is already encoded, so that its bytes are copied and never decoded.
 *
 * version = 1, resource = 2 (Any), name = 3, aliases = 4, ttl = 6 (Duration: seconds = 1, nanos = 2).
 */
import protobuf from "protobufjs";

const VERSION = 0x0a;
const RESOURCE = 0x12;
const NAME = 0x1a;
const ALIASES = 0x22;
const TTL = 0x32;
const SECONDS = 0x08;
const NANOS = 0x10;

export interface WrappedResource {
  readonly name: string;
  readonly version?: string;
  /** Encoded `google.protobuf.Any`; absent in a heartbeat and for a resource that does not exist. */
  readonly any?: Uint8Array;
  readonly ttlMs?: number;
  readonly aliases?: readonly string[];
}

export function encodeWrappedResource({ name, version, any, ttlMs, aliases }: WrappedResource): Uint8Array {
  const writer = protobuf.Writer.create();
  if (version !== undefined) writer.uint32(VERSION).string(version);
  if (any !== undefined) writer.uint32(RESOURCE).bytes(any);
  writer.uint32(NAME).string(name);
  for (const alias of aliases ?? []) writer.uint32(ALIASES).string(alias);
  if (ttlMs !== undefined) {
    writer.uint32(TTL).fork();
    writer.uint32(SECONDS).int64(Math.floor(ttlMs / 1_000));
    if (ttlMs % 1_000 !== 0) writer.uint32(NANOS).int32((ttlMs % 1_000) * 1_000_000);
    writer.ldelim();
  }
  return writer.finish();
}

const ANY_TYPE_URL = 0x0a;
const ANY_VALUE = 0x12;
const WRAPPED = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/** The wrapped resource inside an Any, for a state-of-the-world response. */
export function anyOfWrapped(wrapped: Uint8Array): Uint8Array {
  return protobuf.Writer.create().uint32(ANY_TYPE_URL).string(WRAPPED).uint32(ANY_VALUE).bytes(wrapped).finish();
}
