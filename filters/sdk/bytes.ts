import { equalMemory } from "./equal";

/**
 * A view of bytes in linear memory: pointer and length.
 *
 * Views come in two kinds. A borrowed one was filled by a hostcall, points into the scratch arena and is valid until the outermost
 * callback returns; such views are preallocated by their user and refilled, so that the request path allocates nothing. An owned
 * one comes from `literal()` or `copy()` and lives as long as it is referenced. Lengths are bytes; all comparisons are O(length).
 */
@final
export class Bytes {
  /** Keeps the memory of an owned view alive; null for a borrowed one. */
  private owner: ArrayBuffer | null = null;

  constructor(
    public ptr: usize = 0,
    public len: i32 = 0,
  ) {}

  /** Owned UTF-8 bytes of a text. Allocates: for constants and configuration, not for traffic. */
  static literal(text: string): Bytes {
    return Bytes.owning(String.UTF8.encode(text));
  }

  private static owning(buffer: ArrayBuffer): Bytes {
    const bytes = new Bytes(changetype<usize>(buffer), buffer.byteLength);
    bytes.owner = buffer;
    return bytes;
  }

  @inline
  set(ptr: usize, len: i32): void {
    this.ptr = ptr;
    this.len = len;
    this.owner = null;
  }

  @inline
  clear(): void {
    this.set(0, 0);
  }

  /** Byte at `index`; the caller keeps `0 <= index < len`. */
  @inline
  at(index: i32): u8 {
    return load<u8>(this.ptr + <usize>index);
  }

  equals(other: Bytes): bool {
    return this.len == other.len && equalMemory(this.ptr, other.ptr, this.len);
  }

  startsWith(prefix: Bytes): bool {
    return this.len >= prefix.len && equalMemory(this.ptr, prefix.ptr, prefix.len);
  }

  endsWith(suffix: Bytes): bool {
    return this.len >= suffix.len && equalMemory(this.ptr + <usize>(this.len - suffix.len), suffix.ptr, suffix.len);
  }

  /** ASCII case-insensitive equality; `lower` must be lower-case already. */
  equalsIgnoreCase(lower: Bytes): bool {
    if (this.len != lower.len) return false;
    for (let i = 0; i < this.len; i++) {
      let byte = this.at(i);
      if (byte - 65 < 26) byte |= 0x20;
      if (byte != lower.at(i)) return false;
    }
    return true;
  }

  /** First index of `byte` at or after `from`, or -1. */
  indexOf(byte: u8, from: i32 = 0): i32 {
    for (let i = from; i < this.len; i++) if (this.at(i) == byte) return i;
    return -1;
  }

  /** An owned copy; allocates. */
  copy(): Bytes {
    const buffer = new ArrayBuffer(this.len);
    memory.copy(changetype<usize>(buffer), this.ptr, this.len);
    return Bytes.owning(buffer);
  }

  /** UTF-16 text for logs and configuration; allocates, so never on the request path. */
  toString(): string {
    return String.UTF8.decodeUnsafe(this.ptr, this.len);
  }
}
