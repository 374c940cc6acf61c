/**
 * One xDS resource: its bytes are encoded once, when it is made, and shared by every snapshot and stream that serves it.
 * The version is a hash of those bytes, so it is the same on every stream, on every replica and after every restart, and content never
 * changes under the same version.
 */
import crypto, { createHash } from "node:crypto";
import { encodeAny, type ProtoObject, type TypeUrl } from "../../protos/index.ts";
import { canonicalName } from "./resource-name.ts";

/** A resource that another one names and cannot work without. */
export interface Reference {
  readonly typeUrl: TypeUrl;
  readonly name: string;
}

export interface Resource {
  readonly typeUrl: TypeUrl;
  readonly name: string;
  /** Content hash, 16 hex digits. */
  readonly version: string;
  /** The encoded `google.protobuf.Any`; shared, never written to. */
  readonly any: Uint8Array;
  readonly references: readonly Reference[];
  /** Texts inside it that nobody may be shown. */
  readonly secrets?: readonly string[];
  /** The client drops the resource this long after it last heard of it; heartbeats keep it alive. Milliseconds. */
  readonly ttlMs?: number;
  /** Other names it is served under. Virtual hosts are asked for by `<route configuration>/<domain>`, of which one host may have many. */
  readonly aliases?: readonly string[];
}

/** What few resources have. */
export interface ResourceOptions {
  readonly ttlMs?: number;
  readonly aliases?: readonly string[];
}

/**
 * @param name xdstp names are made canonical
 * @param references a function of the object: resources of equal bytes count as equal
 * @throws TypeError when the object does not fit the type (see protos/codec.ts), RangeError when the TTL is not a positive whole number: mistakes in
 *   a builder, never in user input
 */
export function createResource(
  typeUrl: TypeUrl,
  name: string,
  object: ProtoObject,
  references: readonly Reference[] = [],
  secrets: readonly string[] = [],
  options: ResourceOptions = {},
): Resource {
  return encodedResource(typeUrl, name, encodeAny(typeUrl, object), references, secrets, options);
}

/**
 * As {@link createResource}, of what is encoded already.
 * @param any the encoded `google.protobuf.Any`; nobody may write to it any more
 * @throws RangeError when the TTL is not a positive whole number
 */
export function encodedResource(
  typeUrl: TypeUrl,
  name: string,
  any: Uint8Array,
  references: readonly Reference[] = [],
  secrets: readonly string[] = [],
  { ttlMs, aliases = [] }: ResourceOptions = {},
): Resource {
  if (ttlMs !== undefined && !(Number.isSafeInteger(ttlMs) && ttlMs > 0)) throw new RangeError(`ttl ${ttlMs} ms`);
  return {
    typeUrl,
    name: canonicalName(name),
    version: versionOf(any, ttlMs, aliases),
    any,
    references,
    ...(secrets.length > 0 ? { secrets } : {}),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(aliases.length > 0 ? { aliases: aliases.map(canonicalName) } : {}),
  };
}

/** Everything the client is told under this version goes in. */
function versionOf(any: Uint8Array, ttlMs: number | undefined, aliases: readonly string[]): string {
  if (ttlMs === undefined && aliases.length === 0) return contentHash(any);
  return contentHash(JSON.stringify([contentHash(any), ttlMs ?? 0, aliases]));
}

/** In one call where Node has that, which is 20.12: a Hash object is two thirds of the time for short texts. */
const sha256: (data: Uint8Array | string) => string =
  "hash" in crypto
    ? (data) => crypto.hash("sha256", data, "hex")
    : (data) => createHash("sha256").update(data).digest("hex");

/** 64 bits of SHA-256: enough to tell versions apart, short enough to read in a log. */
export function contentHash(bytes: Uint8Array | string): string {
  return sha256(bytes).slice(0, 16);
}
