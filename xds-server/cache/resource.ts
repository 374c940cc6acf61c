/**
 * One xDS resource: its bytes are encoded once, when it is made, and shared by every snapshot and stream that serves it.
 * The version is a hash of those bytes, so it is the same on every stream, on every replica and after every restart, and content never
 * changes under the same version.
 */
import { createHash } from "node:crypto";
import { encodeAny, type ProtoObject, type TypeUrl } from "../../protos/index.ts";

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
}

/**
 * @param references a function of the object: resources of equal bytes count as equal
 * @throws TypeError when the object does not fit the type (see protos/codec.ts): a mistake in a builder, never in user input
 */
export function createResource(
  typeUrl: TypeUrl,
  name: string,
  object: ProtoObject,
  references: readonly Reference[] = [],
  secrets: readonly string[] = [],
): Resource {
  const any = encodeAny(typeUrl, object);
  return { typeUrl, name, version: contentHash(any), any, references, ...(secrets.length > 0 ? { secrets } : {}) };
}

/** 64 bits of SHA-256: enough to tell versions apart, short enough to read in a log. */
export function contentHash(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}
