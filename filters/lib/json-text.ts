/**
 * Decodes the inside of one JSON string, byte by byte, into a bounded buffer: escapes, surrogate pairs, end.
 *
 * Resumable between any two bytes, like the scanner that drives it. Half a surrogate pair becomes U+FFFD, because UTF-8 has no form for
 * it, and is reported. Reference: RFC 8259 section 7.
 */

export const enum TextStatus {
  More = 0,
  /** The byte was the closing quote. */
  Closed = 1,
  /** A control character, or an escape that JSON does not have. */
  Invalid = 2,
}

/** `escape`: no escape is open; the byte behind a backslash comes next; the first of four hex digits comes next. */
const NONE: i32 = 0;
const BACKSLASH: i32 = 1;
const FIRST_DIGIT: i32 = 2;
const LAST_DIGIT: i32 = 5;

@final
export class JsonText {
  /** Decoded bytes in the buffer. */
  length: i32 = 0;
  /** More bytes came than the buffer takes. */
  truncated: bool = false;
  /** There was half a surrogate pair. */
  malformed: bool = false;

  private buffer: usize = 0;
  private capacity: i32 = 0;
  private escape: i32 = NONE;
  private unit: u32 = 0;
  private highSurrogate: u32 = 0;

  /** Starts behind an opening quote; decodes into `capacity` bytes at `buffer`. */
  begin(buffer: usize, capacity: i32): void {
    this.buffer = buffer;
    this.capacity = capacity;
    this.length = 0;
    this.truncated = false;
    this.malformed = false;
    this.escape = NONE;
    this.highSurrogate = 0;
  }

  push(byte: u8): TextStatus {
    if (this.escape == NONE) {
      if (byte == 0x5c) {
        this.escape = BACKSLASH;
        return TextStatus.More;
      }
      if (byte < 0x20) return TextStatus.Invalid;
      if (this.highSurrogate != 0) this.loneSurrogate();
      if (byte == 0x22) return TextStatus.Closed;
      this.emit(byte);
      return TextStatus.More;
    }
    if (this.escape == BACKSLASH) return this.escaped(byte);
    const digit = hex(byte);
    if (digit < 0) return TextStatus.Invalid;
    this.unit = (this.unit << 4) | <u32>digit;
    if (this.escape == LAST_DIGIT) {
      this.escape = NONE;
      this.codeUnit(this.unit);
    } else {
      this.escape++;
    }
    return TextStatus.More;
  }

  private escaped(byte: u8): TextStatus {
    this.escape = NONE;
    if (byte == 0x75) {
      this.escape = FIRST_DIGIT;
      this.unit = 0;
      return TextStatus.More;
    }
    let plain: u8 = 0;
    if (byte == 0x22 || byte == 0x5c || byte == 0x2f) plain = byte;
    else if (byte == 0x62) plain = 8;
    else if (byte == 0x66) plain = 12;
    else if (byte == 0x6e) plain = 10;
    else if (byte == 0x72) plain = 13;
    else if (byte == 0x74) plain = 9;
    else return TextStatus.Invalid;
    if (this.highSurrogate != 0) this.loneSurrogate();
    this.emit(plain);
    return TextStatus.More;
  }

  private codeUnit(unit: u32): void {
    if (unit - 0xdc00 < 0x400 && this.highSurrogate != 0) {
      const point = 0x10000 + ((this.highSurrogate - 0xd800) << 10) + (unit - 0xdc00);
      this.highSurrogate = 0;
      this.emit(<u8>(0xf0 | (point >> 18)));
      this.emit(<u8>(0x80 | ((point >> 12) & 63)));
      this.emit(<u8>(0x80 | ((point >> 6) & 63)));
      this.emit(<u8>(0x80 | (point & 63)));
      return;
    }
    if (this.highSurrogate != 0) this.loneSurrogate();
    if (unit - 0xd800 < 0x400) {
      this.highSurrogate = unit;
    } else if (unit - 0xdc00 < 0x400) {
      this.loneSurrogate();
    } else if (unit < 0x80) {
      this.emit(<u8>unit);
    } else if (unit < 0x800) {
      this.emit(<u8>(0xc0 | (unit >> 6)));
      this.emit(<u8>(0x80 | (unit & 63)));
    } else {
      this.emit(<u8>(0xe0 | (unit >> 12)));
      this.emit(<u8>(0x80 | ((unit >> 6) & 63)));
      this.emit(<u8>(0x80 | (unit & 63)));
    }
  }

  private loneSurrogate(): void {
    this.highSurrogate = 0;
    this.malformed = true;
    this.emit(0xef);
    this.emit(0xbf);
    this.emit(0xbd);
  }

  private emit(byte: u8): void {
    if (this.length < this.capacity) {
      store<u8>(this.buffer + <usize>this.length, byte);
      this.length++;
    } else {
      this.truncated = true;
    }
  }
}

/** Value of a hex digit, or -1. */
export function hex(byte: u8): i32 {
  if (byte - 48 < 10) return byte - 48;
  const letter = (byte | 0x20) - 97;
  return letter < 6 ? letter + 10 : -1;
}
