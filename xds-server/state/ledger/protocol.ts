/**
 * Envoy's Rate Limit Service on the wire: `envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`, written by hand over proto-reader.ts and
 * protobufjs' writer. One call per request of Envoy is worth it: a decoder that knows what it needs is several times faster than reflection, and takes
 * fields (`hits_addend` and `is_negative_hits` of a descriptor) that the npm protos lack. `protocol.test.ts` compares it with those protos and
 * with the Go module.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ratelimit/v3/rls.proto
 */
import protobuf from "protobufjs";
import { ProtoReader, WireType } from "./proto-reader.ts";

export const SERVICE_PATH = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/** `RateLimitResponse.Code`. */
export const Code = { ok: 1, overLimit: 2 } as const;
export type Code = (typeof Code)[keyof typeof Code];

export interface Entry {
  readonly key: string;
  readonly value: string;
}

/** `RateLimitOverride`: `unit` is `envoy.type.v3.RateLimitUnit`. */
export interface LimitOverride {
  readonly requestsPerUnit: number;
  readonly unit: number;
  readonly unitMultiplier: number;
}

export interface Descriptor {
  readonly entries: readonly Entry[];
  readonly limit: LimitOverride | undefined;
  /** Without a sign; undefined when the descriptor says nothing and the request's own counts. */
  readonly hits: number | undefined;
  readonly negative: boolean;
}

export interface RateLimitRequest {
  readonly domain: string;
  readonly descriptors: readonly Descriptor[];
  /** 0 when absent; then a hit is 1. */
  readonly hits: number;
}

export interface DescriptorStatus {
  readonly code: Code;
  /** Absent for a descriptor that no pattern matches. */
  readonly limit?: { readonly name: string; readonly requestsPerUnit: number; readonly unit: number };
  readonly remaining?: number;
  readonly resetMs?: number;
}

export interface RateLimitResponse {
  readonly code: Code;
  readonly statuses: readonly DescriptorStatus[];
}

/** The most that a uint32 of the protocol holds; larger amounts are shown as this, and exactly in `dynamic_metadata`. */
export const MAX_UINT32 = 0xffff_ffff;

/** Numbers of `RateLimitUnit`, which are those of `RateLimitResponse.RateLimit.Unit` too. */
export const UNIT = { second: 1, minute: 2, hour: 3, day: 4, month: 5 } as const;

const field = (number: number, wireType: number): number => (number << 3) | wireType;
const { varint: VARINT, bytes: BYTES } = WireType;

/** @throws RangeError on bytes that are no RateLimitRequest */
export function decodeRequest(bytes: Uint8Array): RateLimitRequest {
  const reader = new ProtoReader(bytes);
  let domain = "";
  let hits = 0;
  const descriptors: Descriptor[] = [];
  while (reader.position < reader.length) {
    const tag = reader.uint32();
    if (tag === field(1, BYTES)) domain = reader.string();
    else if (tag === field(2, BYTES)) descriptors.push(reader.message(readDescriptor));
    else if (tag === field(3, VARINT)) hits = reader.uint32();
    else reader.skip(tag & 7);
  }
  return { domain, descriptors, hits };
}

function readDescriptor(reader: ProtoReader, end: number): Descriptor {
  const entries: Entry[] = [];
  let limit: LimitOverride | undefined;
  let hits: number | undefined;
  let negative = false;
  while (reader.position < end) {
    const tag = reader.uint32();
    if (tag === field(1, BYTES)) entries.push(reader.message(readEntry));
    else if (tag === field(2, BYTES)) limit = reader.message(readOverride);
    else if (tag === field(3, BYTES)) hits = reader.message(readWrapped);
    else if (tag === field(4, VARINT)) negative = reader.bool();
    else reader.skip(tag & 7);
  }
  return { entries, limit, hits, negative };
}

function readEntry(reader: ProtoReader, end: number): Entry {
  let key = "";
  let value = "";
  while (reader.position < end) {
    const tag = reader.uint32();
    if (tag === field(1, BYTES)) key = reader.string();
    else if (tag === field(2, BYTES)) value = reader.string();
    else reader.skip(tag & 7);
  }
  return { key, value };
}

function readOverride(reader: ProtoReader, end: number): LimitOverride {
  let requestsPerUnit = 0;
  let unit = 0;
  let unitMultiplier = 1;
  while (reader.position < end) {
    const tag = reader.uint32();
    if (tag === field(1, VARINT)) requestsPerUnit = reader.uint32();
    else if (tag === field(2, VARINT)) unit = reader.uint32();
    else if (tag === field(3, BYTES)) unitMultiplier = reader.message(readWrapped);
    else reader.skip(tag & 7);
  }
  return { requestsPerUnit, unit, unitMultiplier };
}

/** UInt32Value and UInt64Value: field 1. */
function readWrapped(reader: ProtoReader, end: number): number {
  let value = 0;
  while (reader.position < end) {
    const tag = reader.uint32();
    if (tag === field(1, VARINT)) value = reader.uint64();
    else reader.skip(tag & 7);
  }
  return value;
}

const uint32 = (value: number): number => (value > MAX_UINT32 ? MAX_UINT32 : Math.max(0, Math.floor(value)));

/** Bytes of a RateLimitResponse. */
export function encodeResponse({ code, statuses }: RateLimitResponse): Uint8Array {
  const writer = protobuf.Writer.create().uint32(field(1, VARINT)).uint32(code);
  let wide = false;
  for (const status of statuses) {
    writer.uint32(field(2, BYTES)).fork();
    writeStatus(writer, status);
    writer.ldelim();
    wide ||= (status.limit?.requestsPerUnit ?? 0) > MAX_UINT32 || (status.remaining ?? 0) > MAX_UINT32;
  }
  if (wide) writeExactNumbers(writer, statuses);
  return writer.finish();
}

function writeStatus(writer: protobuf.Writer, { code, limit, remaining = 0, resetMs }: DescriptorStatus): void {
  writer.uint32(field(1, VARINT)).uint32(code);
  if (limit !== undefined) {
    writer.uint32(field(2, BYTES)).fork();
    writer.uint32(field(1, VARINT)).uint32(uint32(limit.requestsPerUnit));
    writer.uint32(field(2, VARINT)).uint32(limit.unit);
    if (limit.name !== "") writer.uint32(field(3, BYTES)).string(limit.name);
    writer.ldelim();
  }
  if (remaining > 0) writer.uint32(field(3, VARINT)).uint32(uint32(remaining));
  if (resetMs !== undefined) {
    const ms = Math.max(0, Math.ceil(resetMs));
    writer.uint32(field(4, BYTES)).fork();
    writer.uint32(field(1, VARINT)).int64(Math.floor(ms / 1_000));
    writer.uint32(field(2, VARINT)).int32((ms % 1_000) * 1_000_000);
    writer.ldelim();
  }
}

/** `dynamic_metadata` (a Struct): `{limit: [..], remaining: [..]}`, by descriptor, as numbers that are exact to 2^53. */
function writeExactNumbers(writer: protobuf.Writer, statuses: readonly DescriptorStatus[]): void {
  writer.uint32(field(6, BYTES)).fork();
  const columns = {
    limit: statuses.map(({ limit }) => limit?.requestsPerUnit ?? 0),
    remaining: statuses.map(({ remaining }) => remaining ?? 0),
  };
  for (const [name, numbers] of Object.entries(columns)) {
    // Struct.fields is a map: entries of {1: key, 2: Value}; Value.list_value is 6, ListValue.values 1, Value.number_value 2.
    writer.uint32(field(1, BYTES)).fork().uint32(field(1, BYTES)).string(name);
    writer.uint32(field(2, BYTES)).fork().uint32(field(6, BYTES)).fork();
    for (const number of numbers) writer.uint32(field(1, BYTES)).fork().uint32(field(2, 1)).double(number).ldelim();
    writer.ldelim().ldelim().ldelim();
  }
  writer.ldelim();
}
