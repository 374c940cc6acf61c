/**
 * Bodies that were read before and answered from the cache, byte for byte, with what reading them said: a question that is asked again in the same spelling need not be read and hashed again.
 * That takes 1 to 2 µs a kilobyte, comparing it with what is kept a twentieth.
 *
 *   ring     the last BYTES of records; the next one takes the place of the oldest
 *   record   |hash u64|digest u64 x 2|body, bytes i32|model, bytes i32|model's place i32 x 2|marks u32|api u8|flags u8|0 u16| model | body |
 *   table    where the record with a hash begins, counted from the first byte that was ever written
 *
 * A body is known only if all its bytes are the same: the hash says where to look, and who finds two bodies with one hash has them read again, no more.
 */
import { Api } from "../lib/llm-api";
import { xxhash64 } from "../lib/xxhash64";
import { Bytes } from "../sdk";
import { equalBlocks } from "../sdk/equal";
import { Exchange, ModelPlace } from "./exchange";

/** Of memory, taken when the first body is kept. */
const BYTES: u64 = 512 * 1024;
/** Longest body that is kept, so that a few do not drive out all others. */
export const MOST_KNOWN: i32 = 64 * 1024;
/** Places of the table: a record of mean size for each. A power of two. */
const PLACES: u64 = 256;
const HEADER: i32 = 48;

const STREAMING: u8 = 1;
const ASKS_USAGE: u8 = 2;
const HAS_MEMBERS: u8 = 4;
const MODEL_BROKEN: u8 = 8;

@final
export class KnownBodies {
  private ring: usize = 0;
  /** Bytes that were ever written. */
  private written: u64 = 0;
  /** Begin of a record, plus 1; 0 for none. */
  private readonly table: StaticArray<u64> = new StaticArray<u64>(<i32>PLACES);
  /** Of the body that was looked for last. */
  private hash: u64 = 0;

  /** Fills the exchange as reading this body would: model, form, digest and marks. False when it is not known. O(body). */
  recall(body: Bytes, exchange: Exchange): bool {
    exchange.marks = 0;
    if (body.len > MOST_KNOWN) return false;
    const hash = xxhash64(body.ptr, body.len, 0);
    this.hash = hash;
    const begin = unchecked(this.table[<i32>(hash & (PLACES - 1))]);
    if (begin == 0 || begin - 1 + BYTES < this.written) return false;
    const record = this.ring + <usize>((begin - 1) % BYTES);
    const modelBytes = load<i32>(record, 28);
    if (load<u64>(record) != hash || load<i32>(record, 24) != body.len || <Api>load<u8>(record, 44) != exchange.api) return false;
    if (!equalBlocks(record + <usize>(HEADER + modelBytes), body.ptr, body.len)) return false;
    const flags = load<u8>(record, 45);
    exchange.modelPlace = ModelPlace.Json;
    exchange.modelStart = load<i32>(record, 32);
    exchange.modelEnd = load<i32>(record, 36);
    exchange.hasMembers = (flags & HAS_MEMBERS) != 0;
    exchange.streaming = (flags & STREAMING) != 0;
    exchange.asksUsage = (flags & ASKS_USAGE) != 0;
    if (modelBytes > 0 || (flags & MODEL_BROKEN) != 0) exchange.setModel(record + HEADER, modelBytes, (flags & MODEL_BROKEN) != 0);
    exchange.digestLow = load<u64>(record, 8);
    exchange.digestHigh = load<u64>(record, 16);
    exchange.marks = load<u32>(record, 40);
    return true;
  }

  /** Keeps the body that was looked for last, which is `exchange.head`, and what reading it said. O(body). */
  keep(exchange: Exchange): void {
    const body = exchange.head;
    const name = exchange.model;
    if (exchange.modelPlace != ModelPlace.Json || body.len == 0 || body.len != exchange.bodySize || body.len > MOST_KNOWN) return;
    const size = <u64>((HEADER + name.len + body.len + 7) & ~7);
    if (this.ring == 0) this.ring = heap.alloc(<usize>BYTES);
    let begin = this.written;
    // A record lies in one piece.
    if ((begin % BYTES) + size > BYTES) begin += BYTES - (begin % BYTES);
    this.written = begin + size;
    const record = this.ring + <usize>(begin % BYTES);
    store<u64>(record, this.hash);
    store<u64>(record, exchange.digestLow, 8);
    store<u64>(record, exchange.digestHigh, 16);
    store<i32>(record, body.len, 24);
    store<i32>(record, name.len, 28);
    store<i32>(record, exchange.modelStart, 32);
    store<i32>(record, exchange.modelEnd, 36);
    store<u32>(record, exchange.marks, 40);
    store<u8>(record, <u8>exchange.api, 44);
    store<u8>(record, flagsOf(exchange), 45);
    memory.copy(record + HEADER, name.ptr, name.len);
    memory.copy(record + <usize>(HEADER + name.len), body.ptr, body.len);
    unchecked((this.table[<i32>(this.hash & (PLACES - 1))] = begin + 1));
  }

  /** Gives the memory back; nothing is known any more. */
  release(): void {
    if (this.ring != 0) heap.free(this.ring);
    this.ring = 0;
    this.written = 0;
    for (let i = 0; i < this.table.length; i++) unchecked((this.table[i] = 0));
  }
}

function flagsOf(exchange: Exchange): u8 {
  let flags: u8 = exchange.streaming ? STREAMING : 0;
  if (exchange.asksUsage) flags |= ASKS_USAGE;
  if (exchange.hasMembers) flags |= HAS_MEMBERS;
  return exchange.modelBroken ? flags | MODEL_BROKEN : flags;
}
