/**
 * The fields of one serialised protobuf message, one after the other, in place. Fields that nobody asks for are passed over, whatever their wire type.
 *
 * Nothing outside of the message is read, nothing is allocated, and wrong bytes end the walk instead of the VM.
 * Reference: protobuf.dev, "Encoding".
 */

export const enum WireType {
  Varint = 0,
  Fixed64 = 1,
  /** Strings, bytes, messages, packed lists. */
  Bytes = 2,
  StartGroup = 3,
  EndGroup = 4,
  Fixed32 = 5,
}

/** Tags are 32 bits wide. */
const MAX_TAG: u64 = 0xffffffff;

@final
export class ProtoFields {
  number: u32 = 0;
  wireType: WireType = WireType.Varint;
  /** The value of a field of type `Varint`. */
  integer: u64 = 0;
  /** Contents of a field of type `Bytes`, borrowed from the message. */
  ptr: usize = 0;
  length: i32 = 0;
  /** The bytes are no message: what was found so far means nothing. */
  failed: bool = false;

  private at: usize = 0;
  private end: usize = 0;

  /** Starts with the message in bytes [from, from + length). */
  open(from: usize, length: i32): void {
    this.at = from;
    this.end = from + <usize>max(length, 0);
    this.failed = false;
  }

  /** Goes to the next field; false behind the last one and at wrong bytes. All calls for one message are O(its size). */
  next(): bool {
    if (this.at == this.end || this.failed) return false;
    this.failed = !this.tag() || !this.skip();
    return !this.failed;
  }

  is(number: u32, wireType: WireType): bool {
    return this.number == number && this.wireType == wireType;
  }

  /** The value of the field whose tag was read. Of a group, its fields up to the tag that ends it. */
  private skip(): bool {
    if (this.wireType != WireType.StartGroup) return this.value();
    const number = this.number;
    let depth = 1;
    while (depth > 0) {
      if (!this.tag()) return false;
      if (this.wireType == WireType.StartGroup) {
        depth++;
      } else if (this.wireType == WireType.EndGroup) {
        depth--;
      } else if (!this.value()) {
        return false;
      }
    }
    this.number = number;
    this.wireType = WireType.StartGroup;
    return true;
  }

  private value(): bool {
    switch (this.wireType) {
      case WireType.Varint:
        return this.varint();
      case WireType.Fixed64:
        return this.take(8);
      case WireType.Fixed32:
        return this.take(4);
      case WireType.Bytes:
        return this.varint() && this.take(this.integer);
      default:
        return false;
    }
  }

  private tag(): bool {
    if (!this.varint() || this.integer > MAX_TAG) return false;
    this.number = <u32>(this.integer >> 3);
    this.wireType = <WireType>(<i32>this.integer & 7);
    return this.number != 0;
  }

  private varint(): bool {
    let value: u64 = 0;
    for (let shift: u64 = 0; shift < 70; shift += 7) {
      if (this.at == this.end) return false;
      const byte = load<u8>(this.at++);
      value |= <u64>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.integer = value;
        return true;
      }
    }
    return false;
  }

  private take(size: u64): bool {
    if (size > <u64>(this.end - this.at)) return false;
    this.ptr = this.at;
    this.length = <i32>size;
    this.at += <usize>size;
    return true;
  }
}
