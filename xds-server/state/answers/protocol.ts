/**
 * `tokenmesh.answers.v1.Answers` on the wire.
 *
 *   message GetRequest {
 *     bytes key = 1; fixed64 tenant = 2; fixed64 model = 3;
 *     bytes partition = 4;             // 16 bytes; with a text, an answer by similarity will do
 *     bytes text = 5;                  // of the question, UTF-8
 *     uint32 threshold_permille = 6;   // least similarity; 0: the server's own
 *     uint32 speed_percent = 7;        // the answer is to be given as it came, at this speed; 0: at once
 *     uint32 max_gap_ms = 8;           // with it: the longest gap
 *     uint64 replay_of_ms = 9;         // with it: the answer of that time (ms since the epoch) is there already, and no other will do
 *     bool show_key = 10;              // with it: the client is shown the key
 *   }
 *   message GetResponse {              // a miss is empty
 *     uint32 age_ms = 1; bytes value = 2;
 *     uint32 similarity_permille = 3;  // of an answer by similarity
 *     bytes key = 4;                   // of that answer
 *     bytes replay = 5;                // 16 bytes: where it is given as it came (flight-calls.ts)
 *   }
 *   message PutRequest { bytes key = 1; uint32 ttl_ms = 2; bytes value = 3; bytes partition = 4; bytes text = 5; bytes pace = 6; }
 *   message PutResponse { bool stored = 1; }
 *   message PurgesRequest { fixed64 epoch = 1; uint64 since = 2; string envoy = 3; uint32 wait_ms = 4; }
 *   message PurgesResponse { fixed64 epoch = 1; uint64 sequence = 2; uint64 now_ms = 3; repeated Purge purges = 4; }
 *   message Purge {
 *     uint32 kind = 1;      // 1 key, 2 model, 3 tenant, 4 all
 *     fixed64 low = 2;      // of a key; the hash of a model or tenant
 *     fixed64 high = 3;     // of a key
 *     uint64 at_ms = 4;     // entries from that time or before are dead
 *   }
 *
 * A key is 16 bytes: low and high, little-endian. Of a field that is there twice the last counts; unknown ones are passed over. Fixed numbers are kept as the hex
 * digits of their bytes: nobody counts with them here.
 */
import protobuf from "protobufjs";
import {
  KEY_BYTES,
  MAX_ENVOY_BYTES,
  MAX_GAP_MS,
  MAX_GET_BYTES,
  MAX_REQUEST_BYTES,
  MAX_SPEED_PERCENT,
  MAX_TTL_MS,
  MAX_WAIT_MS,
  MIN_SPEED_PERCENT,
  MIN_TTL_MS,
} from "./limits.ts";
import type { Tempo } from "./pace.ts";
import { type Purge, PurgeKind } from "./purge.ts";
import type { AskedQuestion, SimilarQuestion } from "./semantic/index.ts";
import { MAX_TEXT_BYTES, PARTITION_BYTES } from "./semantic/limits.ts";
import type { EntryAddress } from "./store.ts";

const SERVICE = "/tokenmesh.answers.v1.Answers";
export const GET_PATH = `${SERVICE}/Get`;
export const PUT_PATH = `${SERVICE}/Put`;
export const PURGES_PATH = `${SERVICE}/Purges`;

export const NO_HASH = "0".repeat(16);
const MAX_UINT32 = 0xffff_ffff;
const MAX_PERMILLE = 1_000;
const EMPTY: Buffer = Buffer.alloc(0);

export interface GetRequest extends EntryAddress {
  /** Undefined when only the answer under the key will do. */
  readonly question?: SimilarQuestion | undefined;
  /** Undefined when it will be given at once. */
  readonly replay?: WantedReplay | undefined;
}

export interface WantedReplay extends Tempo {
  /** The filter has the answer whose upstream was asked then, ms since the epoch, and wants that one given; 0 when it has none. */
  readonly of: number;
  readonly showKey: boolean;
}

export interface PutRequest {
  readonly key: string;
  readonly ttlMs: number;
  /** Borrowed from the request. */
  readonly value: Buffer;
  /** Undefined when it is not to be found by similarity. */
  readonly question?: AskedQuestion | undefined;
  /** When its pieces came (pace.ts); empty when nobody knows. Borrowed too. */
  readonly pace?: Buffer | undefined;
}

export interface PurgesRequest {
  /** 16 hex digits; zeros from one that has not asked before. */
  readonly epoch: string;
  readonly since: number;
  /** "" when it does not say. */
  readonly envoy: string;
  readonly waitMs: number;
}

export interface PurgesAnswer {
  readonly epoch: string;
  readonly sequence: number;
  readonly now: number;
  readonly purges: readonly Purge[];
}

const varint = (field: number): number => field << 3;
const fixed64 = (field: number): number => (field << 3) | 1;
const bytesOf = (field: number): number => (field << 3) | 2;

/** Reads all fields: `read` returns false for one that it does not know. @throws RangeError or Error */
function readFields(bytes: Uint8Array, read: (tag: number, reader: protobuf.Reader) => boolean): void {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 0) throw new RangeError("a field without a number");
    if (!read(tag, reader)) reader.skipType(tag & 7);
  }
}

/** The bytes of a field, not copied. */
function view(reader: protobuf.Reader): Buffer {
  const bytes = reader.bytes();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function keyOf(bytes: Buffer): string {
  if (bytes.length !== KEY_BYTES) throw new RangeError("a key has 16 bytes");
  return bytes.toString("hex");
}

function partitionOf(bytes: Buffer): string {
  if (bytes.length !== PARTITION_BYTES) throw new RangeError("a partition has 16 bytes");
  return bytes.toString("hex");
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Undefined when one of the two is missing, and for what is no text or too long a one: then it is about the key alone. */
function questionOf(partition: string, bytes: Buffer): AskedQuestion | undefined {
  if (partition === "" || bytes.length === 0 || bytes.length > MAX_TEXT_BYTES) return undefined;
  try {
    return { partition, text: UTF8.decode(bytes) };
  } catch {
    return undefined;
  }
}

/** 8 bytes as they stand. */
function fixed(reader: protobuf.Reader): string {
  const { pos, buf, len } = reader;
  if (pos + 8 > len) throw new RangeError("a field is cut off");
  reader.pos = pos + 8;
  return Buffer.from(buf.buffer, buf.byteOffset + pos, 8).toString("hex");
}

/** @throws RangeError or Error */
export function decodeGet(bytes: Uint8Array): GetRequest {
  if (bytes.length > MAX_GET_BYTES) throw new RangeError("too long");
  let key = "";
  let tenant = NO_HASH;
  let model = NO_HASH;
  let partition = "";
  let text: Buffer = EMPTY;
  let permille = 0;
  let [speedPercent, maxGapMs, of, showKey] = [0, 0, 0, false];
  readFields(bytes, (tag, reader) => {
    if (tag === bytesOf(1)) key = keyOf(view(reader));
    else if (tag === fixed64(2)) tenant = fixed(reader);
    else if (tag === fixed64(3)) model = fixed(reader);
    else if (tag === bytesOf(4)) partition = partitionOf(view(reader));
    else if (tag === bytesOf(5)) text = view(reader);
    else if (tag === varint(6)) permille = reader.uint32();
    else if (tag === varint(7)) speedPercent = reader.uint32();
    else if (tag === varint(8)) maxGapMs = reader.uint32();
    else if (tag === varint(9)) of = Number(reader.uint64());
    else if (tag === varint(10)) showKey = reader.bool();
    else return false;
    return true;
  });
  if (key === "") throw new RangeError("no key");
  if (permille > MAX_PERMILLE) throw new RangeError("threshold_permille is out of range");
  const question = questionOf(partition, text);
  const replay = speedPercent === 0 ? undefined : { ...tempo(speedPercent, maxGapMs), of, showKey };
  return { key, tenant, model, question: question && { ...question, permille }, replay };
}

/** @throws RangeError */
function tempo(speedPercent: number, maxGapMs: number): Tempo {
  const isFast = speedPercent >= MIN_SPEED_PERCENT && speedPercent <= MAX_SPEED_PERCENT;
  if (!isFast || maxGapMs > MAX_GAP_MS) throw new RangeError("such a replay is out of range");
  return { speedPercent, maxGapMs };
}

export interface SimilarKey {
  readonly key: string;
  readonly permille: number;
}

/** @param ageMs a whole number, not negative @param similar of an answer that was found by similarity @param replay 32 hex digits: where it is given as it came */
export function encodeFound(ageMs: number, value: Uint8Array, similar?: SimilarKey, replay?: string): Buffer {
  const writer = protobuf.Writer.create();
  if (ageMs > 0) writer.uint32(varint(1)).uint32(Math.min(ageMs, MAX_UINT32));
  writer.uint32(bytesOf(2)).bytes(value);
  if (similar !== undefined) {
    writer.uint32(varint(3)).uint32(similar.permille);
    writer.uint32(bytesOf(4)).bytes(Buffer.from(similar.key, "hex"));
  }
  if (replay !== undefined) writer.uint32(bytesOf(5)).bytes(Buffer.from(replay, "hex"));
  return finish(writer);
}

/** @throws RangeError or Error */
export function decodePut(bytes: Uint8Array): PutRequest {
  let key = "";
  let ttlMs = 0;
  let value: Buffer = EMPTY;
  let partition = "";
  let text: Buffer = EMPTY;
  let pace: Buffer | undefined;
  readFields(bytes, (tag, reader) => {
    if (tag === bytesOf(1)) key = keyOf(view(reader));
    else if (tag === varint(2)) ttlMs = reader.uint32();
    else if (tag === bytesOf(3)) value = view(reader);
    else if (tag === bytesOf(4)) partition = partitionOf(view(reader));
    else if (tag === bytesOf(5)) text = view(reader);
    else if (tag === bytesOf(6)) pace = view(reader);
    else return false;
    return true;
  });
  if (key === "") throw new RangeError("no key");
  if (ttlMs < MIN_TTL_MS || ttlMs > MAX_TTL_MS) throw new RangeError("ttl_ms is out of range");
  return { key, ttlMs, value, question: questionOf(partition, text), pace };
}

export function encodeStored(stored: boolean): Buffer {
  return Buffer.from(stored ? [varint(1), 1] : []);
}

/** @throws RangeError or Error */
export function decodePurges(bytes: Uint8Array): PurgesRequest {
  if (bytes.length > MAX_REQUEST_BYTES) throw new RangeError("too long");
  let epoch = NO_HASH;
  let since = 0;
  let envoy = "";
  let waitMs = 0;
  readFields(bytes, (tag, reader) => {
    if (tag === fixed64(1)) epoch = fixed(reader);
    else if (tag === varint(2)) since = Number(reader.uint64());
    else if (tag === bytesOf(3)) envoy = view(reader).toString("utf8");
    else if (tag === varint(4)) waitMs = reader.uint32();
    else return false;
    return true;
  });
  if (Buffer.byteLength(envoy) > MAX_ENVOY_BYTES) throw new RangeError("too long a name");
  return { epoch, since, envoy, waitMs: waitMs === 0 ? MAX_WAIT_MS : Math.min(waitMs, MAX_WAIT_MS) };
}

export function encodePurges({ epoch, sequence, now, purges }: PurgesAnswer): Buffer {
  const writer = protobuf.Writer.create();
  writeFixed(writer, 1, epoch);
  if (sequence > 0) writer.uint32(varint(2)).uint64(sequence);
  writer.uint32(varint(3)).uint64(now);
  for (const purge of purges) {
    writer.uint32(bytesOf(4)).fork();
    writePurge(writer, purge);
    writer.ldelim();
  }
  return finish(writer);
}

function writePurge(writer: protobuf.Writer, { kind, hash, at }: Purge): void {
  writer.uint32(varint(1)).uint32(kind);
  if (kind !== PurgeKind.all) writeFixed(writer, 2, hash.slice(0, 16));
  if (kind === PurgeKind.key) writeFixed(writer, 3, hash.slice(16));
  writer.uint32(varint(4)).uint64(at);
}

/** @param hex 16 digits */
function writeFixed(writer: protobuf.Writer, field: number, hex: string): void {
  const bytes = Buffer.from(hex, "hex");
  writer.uint32(fixed64(field)).fixed32(bytes.readUInt32LE(0)).fixed32(bytes.readUInt32LE(4));
}

function finish(writer: protobuf.Writer): Buffer {
  const bytes = writer.finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
