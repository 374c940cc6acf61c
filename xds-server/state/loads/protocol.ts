/**
 * `tokenmesh.loads.v1.EndpointLoads/Fetch` on the wire.
 *
 *   message FetchRequest { string pool = 1; }
 *   message Loads { repeated EndpointLoad endpoints = 1; }
 *   message EndpointLoad {
 *     string address = 1;                    // ip:port
 *     uint32 age_ms = 2;                     // since the engine was asked
 *     uint32 waiting = 3;
 *     uint32 running = 4;
 *     uint32 kv_permille = 5;
 *     uint32 block_tokens = 6;
 *     uint32 blocks = 7;
 *     repeated string active_adapters = 8;
 *     repeated string waiting_adapters = 9;
 *     uint32 max_adapters = 10;
 *     bool unknown = 11;                     // then only the address is there
 *   }
 */
import protobuf from "protobufjs";
import { MAX_POOL_NAME_BYTES } from "./limits.ts";
import type { EndpointState } from "./scraper.ts";

export const FETCH_PATH = "/tokenmesh.loads.v1.EndpointLoads/Fetch";

/** A name, and fields that somebody may add one day. */
const MAX_REQUEST_BYTES = 1_024;

const POOL = 1;
const ENDPOINTS = (1 << 3) | 2;
const varint = (field: number): number => field << 3;
const text = (field: number): number => (field << 3) | 2;

/** The pool's name. @throws RangeError or Error when the bytes are no FetchRequest, or it names none */
export function decodeFetch(bytes: Uint8Array): string {
  if (bytes.length > MAX_REQUEST_BYTES) throw new RangeError("too long");
  const reader = protobuf.Reader.create(bytes);
  let pool = "";
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === text(POOL)) pool = Buffer.from(reader.bytes()).toString("utf8");
    else if (tag >>> 3 === 0) throw new RangeError("a field without a number");
    else reader.skipType(tag & 7);
  }
  if (pool === "" || Buffer.byteLength(pool) > MAX_POOL_NAME_BYTES) throw new RangeError("no name of a pool");
  return pool;
}

/** Loads. */
export function encodeLoads(endpoints: readonly EndpointState[]): Buffer {
  const writer = protobuf.Writer.create();
  for (const endpoint of endpoints) {
    writer.uint32(ENDPOINTS).fork();
    writeLoad(writer, endpoint);
    writer.ldelim();
  }
  const bytes = writer.finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function writeLoad(writer: protobuf.Writer, { address, load, ageMs }: EndpointState): void {
  writer.uint32(text(1)).string(address);
  if (load === undefined || ageMs === undefined) {
    writer.uint32(varint(11)).bool(true);
    return;
  }
  const numbers: readonly (readonly [field: number, value: number])[] = [
    [2, ageMs],
    [3, load.waiting],
    [4, load.running],
    [5, load.kvPermille],
    [6, load.blockTokens],
    [7, load.blocks],
  ];
  for (const [field, value] of numbers) if (value > 0) writer.uint32(varint(field)).uint32(value);
  for (const name of load.activeAdapters) writer.uint32(text(8)).string(name);
  for (const name of load.waitingAdapters) writer.uint32(text(9)).string(name);
  if (load.maxAdapters > 0) writer.uint32(varint(10)).uint32(load.maxAdapters);
}
