import { Bytes } from "./bytes";
import { HEADER_MAP_PAIRS, WRITER_RETAINED } from "./limits";

/**
 * A reusable byte buffer that only grows while it is filled: log lines, local reply bodies, rewritten body prefixes.
 * Preallocate one per use and `reset()` it; the view from `view()` is valid until the next append.
 */
@final
export class ByteWriter {
  private ptr: usize = 0;
  private capacity: i32 = 0;
  len: i32 = 0;
  private readonly window: Bytes = new Bytes();

  /** Empties the writer; memory beyond `WRITER_RETAINED` is given back. */
  reset(): ByteWriter {
    this.len = 0;
    if (this.capacity > <i32>WRITER_RETAINED) {
      heap.free(this.ptr);
      this.ptr = 0;
      this.capacity = 0;
    }
    return this;
  }

  /** Gives all memory back, which the collector would not. The writer is as new. */
  release(): void {
    if (this.ptr != 0) heap.free(this.ptr);
    this.ptr = 0;
    this.capacity = 0;
    this.len = 0;
  }

  view(): Bytes {
    this.window.set(this.ptr, this.len);
    return this.window;
  }

  byte(value: u8): ByteWriter {
    this.reserve(1);
    store<u8>(this.ptr + this.len, value);
    this.len++;
    return this;
  }

  /** Four bytes, little-endian. */
  u32(value: u32): ByteWriter {
    this.reserve(4);
    store<u32>(this.ptr + this.len, value);
    this.len += 4;
    return this;
  }

  bytes(source: Bytes): ByteWriter {
    return this.raw(source.ptr, source.len);
  }

  raw(ptr: usize, len: i32): ByteWriter {
    this.reserve(len);
    memory.copy(this.ptr + this.len, ptr, len);
    this.len += len;
    return this;
  }

  text(source: string): ByteWriter {
    const len = String.UTF8.byteLength(source);
    this.reserve(len);
    String.UTF8.encodeUnsafe(changetype<usize>(source), source.length, this.ptr + this.len);
    this.len += len;
    return this;
  }

  decimal(value: u64): ByteWriter {
    this.reserve(20);
    let digits = 1;
    for (let rest = value / 10; rest != 0; rest /= 10) digits++;
    let at = this.ptr + this.len + digits;
    for (let i = 0; i < digits; i++) {
      store<u8>(--at, <u8>(48 + (value % 10)));
      value /= 10;
    }
    this.len += digits;
    return this;
  }

  /** UTF-8 text as the inside of a JSON string: quote, backslash and control characters escaped. */
  jsonText(source: Bytes): ByteWriter {
    for (let i = 0; i < source.len; i++) {
      const byte = source.at(i);
      if (byte == 0x22 || byte == 0x5c) this.byte(0x5c).byte(byte);
      else if (byte >= 0x20) this.byte(byte);
      else this.text("\\u00").byte(hexDigit(byte >> 4)).byte(hexDigit(byte & 15));
    }
    return this;
  }

  /** Bytes of unknown encoding as the inside of a JSON string: what is not printable ASCII becomes U+FFFD rather than a guess. */
  jsonAscii(source: Bytes): ByteWriter {
    for (let i = 0; i < source.len; i++) {
      const byte = source.at(i);
      if (byte == 0x22 || byte == 0x5c) this.byte(0x5c).byte(byte);
      else if (byte - 0x20 < 0x5f) this.byte(byte);
      else this.text("\\ufffd");
    }
    return this;
  }

  @inline
  private reserve(extra: i32): void {
    const needed = this.len + extra;
    if (needed > this.capacity) this.grow(needed);
  }

  private grow(needed: i32): void {
    let capacity = max(256, this.capacity * 2);
    if (capacity < needed) capacity = needed;
    this.ptr = this.ptr == 0 ? heap.alloc(capacity) : heap.realloc(this.ptr, capacity);
    this.capacity = capacity;
  }
}

/** The digit of a value from 0 to 15. `ten`: the letter for ten, `a` or `A`. */
export function hexDigit(value: u8, ten: u8 = 0x61): u8 {
  return value < 10 ? 48 + value : ten + value - 10;
}

/**
 * Serialised header pairs, as hostcalls take them:
 *
 *   |count: u32|klen: u32|vlen: u32| ... count times ...|key|0|value|0| ... count times ...|     little-endian
 *
 * Reference: spec v0.2.1 "Serialized map"; its example bytes are wrong, the layout is not.
 */
@final
export class PairsWriter {
  private readonly sizes: ByteWriter = new ByteWriter();
  private readonly body: ByteWriter = new ByteWriter();
  private readonly out: ByteWriter = new ByteWriter();
  private count: u32 = 0;

  reset(): PairsWriter {
    this.sizes.reset();
    this.body.reset();
    this.count = 0;
    return this;
  }

  /** Pairs beyond the host's limit are dropped, because the host would silently drop all of them. */
  add(name: Bytes, value: Bytes): PairsWriter {
    if (this.count == HEADER_MAP_PAIRS) return this;
    this.count++;
    this.sizes.u32(name.len).u32(value.len);
    this.body.bytes(name).byte(0).bytes(value).byte(0);
    return this;
  }

  /** Bytes of the serialised pairs, as far as they have been added. */
  get byteSize(): i32 {
    return 4 + this.sizes.len + this.body.len;
  }

  /** The serialised pairs; empty for no pairs. Valid until the next call. */
  view(): Bytes {
    this.out.reset();
    if (this.count != 0) {
      this.out.u32(this.count).bytes(this.sizes.view()).bytes(this.body.view());
    }
    return this.out.view();
  }
}

