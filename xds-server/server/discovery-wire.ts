/**
 * Discovery requests and responses on the wire, read and written by hand: a request is mostly names that were there before, and a response is mostly
 * resources that are encoded already.
 *
 * `envoy.service.discovery.v3.DiscoveryRequest`: version_info = 1, node = 2, resource_names = 3, type_url = 4, response_nonce = 5, error_detail = 6.
 * `DeltaDiscoveryRequest`: node = 1, type_url = 2, resource_names_subscribe = 3, resource_names_unsubscribe = 4, initial_resource_versions = 5 (map),
 * response_nonce = 6, error_detail = 7. `google.rpc.Status`: code = 1, message = 2.
 */
import { createHash } from "node:crypto";
import protobuf from "protobufjs";
import type { NodeIdentity } from "../cache/index.ts";
import { CallError, Status } from "../grpc/index.ts";
import {
  type DeltaRequest,
  type DiscoveryRequest,
  type ErrorDetail,
  MAX_RESOURCE_NAMES,
  SharedValues,
} from "../stream/index.ts";

import { fieldsOf, readNode, readTexts, skip } from "./node-wire.ts";

export interface DecodedRequest<Request> {
  readonly request: Request;
  /** Envoy sends its node on the first request of a stream only. */
  readonly node: NodeIdentity | undefined;
}

const NO_NAMES: readonly string[] = [];
const NO_VERSIONS: ReadonlyMap<string, string> = new Map();

/** Lists of names that streams of this server are using, by the hash of their bytes: a thousand Envoys of a group do not keep a thousand copies. */
export class NameLists extends SharedValues<string, readonly string[]> {}

/** Reads the requests of one state-of-the-world stream. */
export class SotwDecoder {
  readonly #lists: NameLists;
  /** Of the last request by type: every ACK repeats all names, so equal bytes stand for the list that was read before. */
  readonly #runs = new Map<string, NameRun>();

  constructor(lists = new NameLists()) {
    this.#lists = lists;
  }

  /** @throws CallError for a request that is too large, Error when the bytes are no DiscoveryRequest */
  decode(bytes: Uint8Array): DecodedRequest<DiscoveryRequest> {
    const reader = protobuf.Reader.create(bytes);
    let versionInfo = "";
    let typeUrl = "";
    let responseNonce = "";
    let node: NodeIdentity | undefined;
    let errorDetail: ErrorDetail | undefined;
    // Names that stand one behind the other, as every serializer writes them: where they are.
    let count = 0;
    let start = 0;
    let end = 0;
    let scattered = false;
    let again: NameRun | undefined;
    while (reader.pos < reader.len) {
      const at = reader.pos;
      const tag = reader.uint32();
      if (tag === 0x1a) {
        if (count > 0 && at !== end) scattered = true;
        if (count === 0) start = at;
        const run = count === 0 ? this.#again(bytes, at) : undefined;
        if (run === undefined) reader.skip(reader.uint32());
        else reader.pos = at + run.bytes.length;
        count += run?.names.length ?? 1;
        end = reader.pos;
        again = count === run?.names.length ? run : undefined;
      } else if (tag === 0x0a) versionInfo = reader.string();
      else if (tag === 0x12) node = readNode(reader);
      else if (tag === 0x22) typeUrl = reader.string();
      else if (tag === 0x2a) responseNonce = reader.string();
      else if (tag === 0x32) errorDetail = readStatus(reader);
      else skip(reader, tag & 7);
    }
    tooMany(count);
    const resourceNames =
      count === 0 ? NO_NAMES : scattered ? namesOf(bytes) : this.#known(typeUrl, again, bytes, start, end);
    return {
      request: {
        typeUrl,
        versionInfo,
        resourceNames,
        responseNonce,
        ...(errorDetail === undefined ? {} : { errorDetail }),
      },
      node,
    };
  }

  /** The names of an earlier request that stand here once more. */
  #again(bytes: Uint8Array, at: number): NameRun | undefined {
    for (const run of this.#runs.values()) {
      const end = at + run.bytes.length;
      if (run.bytes[1] === bytes[at + 1] && end <= bytes.length && run.bytes.compare(bytes, at, end) === 0) return run;
    }
    return undefined;
  }

  /** @param again what stands between `start` and `end`, if it is known */
  #known(
    typeUrl: string,
    again: NameRun | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): readonly string[] {
    if (again !== undefined) return again.names;
    const run = bytes.subarray(start, end);
    const hash = createHash("sha1").update(run).digest("base64");
    const names = this.#lists.get(hash, () => namesOf(run));
    const kept = runs.get(names) ?? { names, bytes: Buffer.from(run) };
    runs.set(names, kept);
    // The session refuses and forgets types that it does not know; so does this.
    if (this.#runs.size < MAX_REMEMBERED_TYPES || this.#runs.has(typeUrl)) this.#runs.set(typeUrl, kept);
    return names;
  }
}

/** A list and the bytes it was read from: to compare bytes is a hundred times cheaper than to hash them. */
interface NameRun {
  readonly names: readonly string[];
  readonly bytes: Buffer;
}

/** By list; one for all streams. */
const runs = new WeakMap<readonly string[], NameRun>();

/** There are nine types; a client that makes up others is not remembered. */
const MAX_REMEMBERED_TYPES = 16;

/** Every resource_names entry of a message. */
function namesOf(bytes: Uint8Array): readonly string[] {
  const reader = protobuf.Reader.create(bytes);
  const names: string[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 0x1a) names.push(reader.string());
    else skip(reader, tag & 7);
  }
  return names;
}

/** @throws CallError for a request that is too large, Error when the bytes are no DeltaDiscoveryRequest */
export function decodeDelta(bytes: Uint8Array): DecodedRequest<DeltaRequest> {
  const reader = protobuf.Reader.create(bytes);
  let typeUrl = "";
  let responseNonce = "";
  let node: NodeIdentity | undefined;
  let errorDetail: ErrorDetail | undefined;
  let subscribe: string[] | undefined;
  let unsubscribe: string[] | undefined;
  let versions: Map<string, string> | undefined;
  let count = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 0x0a) node = readNode(reader);
    else if (tag === 0x12) typeUrl = reader.string();
    else if (tag === 0x1a) {
      subscribe ??= [];
      subscribe.push(reader.string());
      tooMany(++count);
    } else if (tag === 0x22) {
      unsubscribe ??= [];
      unsubscribe.push(reader.string());
      tooMany(++count);
    } else if (tag === 0x2a) {
      versions ??= new Map();
      const [name, version] = readTexts(reader);
      versions.set(name, version);
      tooMany(versions.size);
    } else if (tag === 0x32) responseNonce = reader.string();
    else if (tag === 0x3a) errorDetail = readStatus(reader);
    else skip(reader, tag & 7);
  }
  return {
    request: {
      typeUrl,
      subscribe: subscribe ?? NO_NAMES,
      unsubscribe: unsubscribe ?? NO_NAMES,
      initialVersions: versions ?? NO_VERSIONS,
      responseNonce,
      ...(errorDetail === undefined ? {} : { errorDetail }),
    },
    node,
  };
}

function tooMany(count: number): void {
  if (count > MAX_RESOURCE_NAMES) {
    throw new CallError(Status.resourceExhausted, `more than ${MAX_RESOURCE_NAMES} resource names`);
  }
}

function readStatus(reader: protobuf.Reader): ErrorDetail {
  let code = 0;
  let message = "";
  for (const [field, wire] of fieldsOf(reader)) {
    if (field === 1 && wire === 0) code = reader.int32();
    else if (field === 2 && wire === 2) message = reader.string();
    else skip(reader, wire);
  }
  return { code, message };
}

const NONCE = 0x2a;

/**
 * The part of a response that only one stream gets: its nonce. Fields of a message may come in any order.
 * @param nonce ASCII, less than 128 characters
 */
export function encodeNonce(nonce: string): Uint8Array {
  const bytes = Buffer.allocUnsafe(2 + nonce.length);
  bytes[0] = NONCE;
  bytes[1] = nonce.length;
  for (let at = 0; at < nonce.length; at++) bytes[2 + at] = nonce.charCodeAt(at);
  return bytes;
}
