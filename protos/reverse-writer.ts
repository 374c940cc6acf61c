/**
 * Protobuf written from its end to its beginning: what needs its own length in front of it has been written when the length is to be, so nothing is measured before and
 * nothing is moved. One buffer for all messages; each is copied out when it is done.
 */

const FIRST_BYTES = 64 * 1_024;
/** A larger buffer is given back after the message that needed it. */
const MAX_KEPT_BYTES = 1_024 * 1_024;
/** The most that a tag and a number take, or a tag and a length. */
const NUMBER_BYTES = 6;
/** Of UTF-8, for a UTF-16 unit. */
const UNIT_BYTES = 3;
/** Above so many characters a call into native code is less than a loop here. */
const LONG_TEXT = 48;

/** Tags are those of fields 1 to 15: one byte. */
export class ReverseWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Where what is written begins. */
  #start = FIRST_BYTES;

  /** Bytes written so far; before the fields of a message, what {@link message} is to be told. */
  get length(): number {
    return this.#buffer.length - this.#start;
  }

  /** Begins a message, whatever became of the last one. */
  begin(): void {
    this.#start = this.#buffer.length;
  }

  /** A field of a whole number from 0 to 4,294,967,295. */
  uint32(tag: number, value: number): void {
    this.#reserve(NUMBER_BYTES);
    this.#varint(value);
    this.#buffer[--this.#start] = tag;
  }

  /** A text field. Half a surrogate pair becomes U+FFFD. */
  string(tag: number, text: string): void {
    this.#reserve(text.length * UNIT_BYTES + NUMBER_BYTES);
    const end = this.#start;
    if (text.length > LONG_TEXT || !this.#ascii(text)) {
      const size = Buffer.byteLength(text);
      this.#start = end - size;
      this.#buffer.write(text, this.#start, size);
    }
    this.#varint(end - this.#start);
    this.#buffer[--this.#start] = tag;
  }

  /** A field of bytes, or of a message that is encoded already. */
  bytes(tag: number, bytes: Uint8Array): void {
    this.#reserve(bytes.length + NUMBER_BYTES);
    this.#start -= bytes.length;
    this.#buffer.set(bytes, this.#start);
    this.#varint(bytes.length);
    this.#buffer[--this.#start] = tag;
  }

  /** All that was written since there were `before` bytes becomes a message in a field. */
  message(tag: number, before: number): void {
    this.#reserve(NUMBER_BYTES);
    this.#varint(this.length - before);
    this.#buffer[--this.#start] = tag;
  }

  /** What was written, in memory of its own. */
  finish(): Uint8Array {
    const message = Buffer.allocUnsafeSlow(this.length);
    this.#buffer.copy(message, 0, this.#start);
    if (this.#buffer.length > MAX_KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
    this.begin();
    return message;
  }

  #varint(value: number): void {
    if (value < 0x80) {
      this.#buffer[--this.#start] = value;
      return;
    }
    const size = value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
    this.#start -= size;
    let at = this.#start;
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) this.#buffer[at++] = (rest & 0x7f) | 0x80;
    this.#buffer[at] = rest;
  }

  /** False, and nothing written, for a text that is not ASCII. */
  #ascii(text: string): boolean {
    let at = this.#start;
    for (let index = text.length - 1; index >= 0; index--) {
      const unit = text.charCodeAt(index);
      if (unit >= 0x80) return false;
      this.#buffer[--at] = unit;
    }
    this.#start = at;
    return true;
  }

  #reserve(bytes: number): void {
    if (this.#start >= bytes) return;
    const { length } = this;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#buffer.length, length + bytes));
    this.#buffer.copy(larger, larger.length - length, this.#start);
    this.#start = larger.length - length;
    this.#buffer = larger;
  }
}
