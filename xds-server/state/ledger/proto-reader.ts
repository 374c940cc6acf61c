/**
 * Reads the protobuf wire format from one message. Checks every length against what is left, so cut-off and overlapping fields are errors and nothing
 * is read beyond the message.
 *
 * Texts are what calls consist of: a call of two descriptors has two dozen. The whole message is turned into a one-byte string once, and ASCII texts
 * are parts of that; a call into Buffer for each of them takes three times as long.
 * https://protobuf.dev/programming-guides/encoding/
 */

export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** Parts keep the whole string alive: beyond this many bytes texts are copies. */
const MAX_SHARED_BYTES = 2_048;

export class ProtoReader {
  /** Place of the next byte. */
  position = 0;
  readonly #bytes: Buffer;
  readonly #text: string | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#text = bytes.length <= MAX_SHARED_BYTES ? this.#bytes.toString("latin1") : undefined;
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** The low 32 bits of a varint, unsigned. @throws RangeError */
  uint32(): number {
    let value = 0;
    for (let bits = 0; ; bits += 7) {
      const byte = this.#next(bits);
      if (bits < 32) value |= (byte & 0x7f) << bits;
      if (byte < 0x80) return value >>> 0;
    }
  }

  /** A varint as a double: exact to 2^53, near enough above, where amounts are bounded anyway. @throws RangeError */
  uint64(): number {
    let value = 0;
    let weight = 1;
    for (let bits = 0; ; bits += 7) {
      const byte = this.#next(bits);
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
      weight *= 128;
    }
  }

  bool(): boolean {
    return this.uint64() !== 0;
  }

  /** Where the bytes end whose length comes next, and which follow it. @throws RangeError */
  end(): number {
    const end = this.uint64() + this.position;
    if (end > this.#bytes.length) throw new RangeError("a field is cut off");
    return end;
  }

  /** UTF-8; what is none becomes U+FFFD. @throws RangeError */
  string(): string {
    const end = this.end();
    const start = this.position;
    this.position = end;
    if (this.#text === undefined) return this.#bytes.toString("utf8", start, end);
    for (let index = start; index < end; index++) {
      if ((this.#bytes[index] ?? 0) >= 0x80) return this.#bytes.toString("utf8", start, end);
    }
    return this.#text.substring(start, end);
  }

  /** A message in a field of its own, whose fields `read` reads up to `end`. @throws RangeError */
  message<T>(read: (reader: ProtoReader, end: number) => T): T {
    const end = this.end();
    const value = read(this, end);
    if (this.position !== end) throw new RangeError("a field reaches beyond its message");
    return value;
  }

  /** Passes over the value of a field. @throws RangeError for groups and wire types that are none */
  skip(wireType: number): void {
    if (wireType === WireType.varint) this.uint64();
    else if (wireType === WireType.bytes) this.position = this.end();
    else if (wireType === WireType.fixed32) this.position += 4;
    else if (wireType === WireType.fixed64) this.position += 8;
    else throw new RangeError(`no such wire type: ${wireType}`);
    if (this.position > this.#bytes.length) throw new RangeError("a field is cut off");
  }

  /** @param bits that the varint has had before: a byte has 7, ten bytes are the most */
  #next(bits: number): number {
    const byte = this.#bytes[this.position];
    if (byte === undefined || bits > 63) throw new RangeError("a number is cut off");
    this.position++;
    return byte;
  }
}
