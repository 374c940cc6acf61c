/**
 * Writes what a Rate Limit Service is asked, an envoy.service.ratelimit.v3.RateLimitRequest:
 *
 *   RateLimitRequest      { 1: string domain, 2: repeated RateLimitDescriptor descriptors }
 *   RateLimitDescriptor   { 1: repeated Entry entries, 2: RateLimitOverride limit, 3: UInt64Value hits_addend, 4: bool is_negative_hits }
 *   Entry                 { 1: string key, 2: string value }
 *   RateLimitOverride     { 1: uint32 requests_per_unit, 2: RateLimitUnit unit }
 *   UInt64Value           { 1: uint64 value }
 *
 * What is written is what protobuf's own serialisers write, byte for byte: lengths in as few bytes as they take, nothing for empty texts and zeros.
 * Only the length of a descriptor is not known before its contents. One byte is kept for it, and the contents move up by one or two when that is too few:
 * a copy of some hundred bytes. A length padded to a fixed width needs no copy and is legal, but then two spellings of one request exist, and a test cannot ask for equal bytes.
 *
 * Reference: https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ratelimit/v3/rls.proto
 */
import { putVarint, varintSize } from "./protobuf-wire";

/** `envoy.type.v3.RateLimitUnit`. */
export const enum RateLimitUnit {
  Unknown = 0,
  Second = 1,
  Minute = 2,
  Hour = 3,
  Day = 4,
  Month = 5,
  Year = 6,
}

/** The most bytes that a request has. */
export const MAX_CALL: i32 = 65536;
const FIRST_CAPACITY: i32 = 1024;

/** Tags of one byte: number of the field << 3 | wire type. */
const DOMAIN: u64 = 0x0a;
const DESCRIPTOR: u64 = 0x12;
const ENTRY: u64 = 0x0a;
const KEY: u64 = 0x0a;
const VALUE: u64 = 0x12;
const LIMIT: u64 = 0x12;
const REQUESTS_PER_UNIT: u64 = 0x08;
const UNIT: u64 = 0x10;
const HITS: u64 = 0x1a;
const WRAPPED: u64 = 0x08;
const NEGATIVE: u64 = 0x20;

/**
 * One request at a time: `begin`; for each descriptor `descriptor`, its entries, and `limit` and `hits` if it has them; `end`.
 *
 * The memory doubles until the largest request so far has room, and is kept: later requests allocate nothing. Texts are copied. They have to be UTF-8, or services
 * refuse the whole request; nobody looks at that here. A call is O(bytes it writes).
 */
@final
export class RateLimitCall {
  /** The request: `length` bytes at `ptr` when `end` was true, until the next `begin`. */
  ptr: usize = heap.alloc(FIRST_CAPACITY);
  length: i32 = 0;
  /** The request has more than `MAX_CALL` bytes; nothing more is written until `begin`. */
  overflow: bool = false;

  private capacity: i32 = FIRST_CAPACITY;
  /** Offset of the contents of the descriptor that is being written; 0 for none. */
  private contents: i32 = 0;

  begin(domain: usize, length: i32): void {
    this.length = 0;
    this.overflow = false;
    this.contents = 0;
    const at = this.claim(textSize(length));
    if (at != 0) putText(at, DOMAIN, domain, length);
  }

  /** The next descriptor begins. */
  descriptor(): void {
    this.complete();
    const at = this.claim(2);
    if (at == 0) return;
    putVarint(at, DESCRIPTOR);
    this.contents = this.length;
  }

  /** Another entry of the descriptor. */
  entry(key: usize, keyLength: i32, value: usize, valueLength: i32): void {
    const size = textSize(keyLength) + textSize(valueLength);
    const at = this.claim(messageSize(size));
    if (at != 0) putText(putText(putHead(at, ENTRY, size), KEY, key, keyLength), VALUE, value, valueLength);
  }

  /** The descriptor's limit, instead of the one in the service's configuration. */
  limit(requestsPerUnit: u32, unit: RateLimitUnit): void {
    const size = numberSize(requestsPerUnit) + numberSize(unit);
    const at = this.claim(messageSize(size));
    if (at != 0) putNumber(putNumber(putHead(at, LIMIT, size), REQUESTS_PER_UNIT, requestsPerUnit), UNIT, unit);
  }

  /** How much the descriptor takes (0 only asks), or gives back when `negative`. Without this call it takes 1. */
  hits(units: u64, negative: bool): void {
    const size = numberSize(units);
    const at = this.claim(messageSize(size) + (negative ? 2 : 0));
    if (at != 0) putNumber(putNumber(putHead(at, HITS, size), WRAPPED, units), NEGATIVE, negative ? 1 : 0);
  }

  /** Whether the request is complete; false when there was no room for it. */
  end(): bool {
    this.complete();
    if (this.overflow) this.length = 0;
    return !this.overflow;
  }

  /** Writes the length of the descriptor in front of its contents. */
  private complete(): void {
    const contents = this.contents;
    if (contents == 0) return;
    this.contents = 0;
    const size = this.length - contents;
    const extra = varintSize(size) - 1;
    if (this.claim(extra) == 0) return;
    const at = this.ptr + <usize>contents;
    if (extra > 0) memory.copy(at + <usize>extra, at, size);
    putVarint(at - 1, size);
  }

  /** Where the next `size` bytes are to be written; 0 when they would be too many. */
  private claim(size: i32): usize {
    const length = this.length;
    if (this.overflow || size > MAX_CALL - length) {
      this.overflow = true;
      return 0;
    }
    this.length = length + size;
    if (this.length > this.capacity) {
      while (this.capacity < this.length) this.capacity *= 2;
      this.ptr = heap.realloc(this.ptr, this.capacity);
    }
    return this.ptr + <usize>length;
  }
}

/** Bytes of a text field; of one that has no room anyway a little too many, so that no sum wraps. */
function textSize(length: i32): i32 {
  if (<u32>length > <u32>MAX_CALL) return MAX_CALL + 1;
  return length == 0 ? 0 : messageSize(length);
}

/** Bytes of a message field with `size` bytes in it. */
function messageSize(size: i32): i32 {
  return 1 + varintSize(size) + size;
}

/** Bytes of a number field. */
function numberSize(value: u64): i32 {
  return value == 0 ? 0 : 1 + varintSize(value);
}

function putHead(at: usize, tag: u64, size: i32): usize {
  return putVarint(putVarint(at, tag), size);
}

function putText(at: usize, tag: u64, text: usize, length: i32): usize {
  if (length == 0) return at;
  at = putHead(at, tag, length);
  memory.copy(at, text, length);
  return at + <usize>length;
}

function putNumber(at: usize, tag: u64, value: u64): usize {
  return value == 0 ? at : putVarint(putVarint(at, tag), value);
}
