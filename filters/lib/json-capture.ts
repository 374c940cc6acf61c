/**
 * Copies one key, string or scalar of a JSON document into a bounded buffer. `JsonWalker` drives it.
 *
 * Keys and most wanted strings are short and plain: those are copied as one block when all of it is there, the rest goes byte by byte through `JsonText`.
 */
import { JsonText, TextStatus } from "./json-text";

/** Room a buffer needs for the short way. */
const PLAIN: usize = 16;

@final
export class JsonCapture {
  /** Bytes in the buffer. */
  length: i32 = 0;
  /** More bytes came than the buffer takes. */
  truncated: bool = false;
  /** There was half a surrogate pair; it is U+FFFD in the buffer. */
  malformed: bool = false;
  /** How far `string` came. */
  status: TextStatus = TextStatus.More;

  private buffer: usize = 0;
  private capacity: i32 = 0;
  private fresh: bool = false;
  private readonly text: JsonText = new JsonText();

  begin(buffer: usize, capacity: i32): void {
    this.buffer = buffer;
    this.capacity = capacity;
    this.length = 0;
    this.truncated = false;
    this.malformed = false;
    this.fresh = true;
  }

  /** Inside a string. Returns the address behind its closing quote, that of a wrong byte, or `limit`. */
  string(at: usize, limit: usize): usize {
    if (this.fresh) {
      this.fresh = false;
      if (at + PLAIN <= limit && this.capacity >= <i32>PLAIN) {
        const length = copyPlain(at, this.buffer);
        if (length >= 0) {
          this.length = length;
          this.status = TextStatus.Closed;
          return at + <usize>length + 1;
        }
      }
      this.text.begin(this.buffer, this.capacity);
    }
    const text = this.text;
    this.status = TextStatus.More;
    while (at < limit) {
      const status = text.push(load<u8>(at));
      this.status = status;
      if (status == TextStatus.Invalid) return at;
      at++;
      if (status == TextStatus.Closed) break;
    }
    this.length = text.length;
    this.truncated = text.truncated;
    this.malformed = text.malformed;
    return at;
  }

  /** One more byte of a number or literal. */
  scalar(byte: u8): void {
    if (this.length < this.capacity) {
      store<u8>(this.buffer + <usize>this.length, byte);
      this.length++;
    } else {
      this.truncated = true;
    }
  }
}

/** Copies a string of less than 16 bytes without escapes and returns its length; else -1. Reads 16 bytes at `at` and writes as many at `to`. */
function copyPlain(at: usize, to: usize): i32 {
  const block = v128.load(at);
  const quotes = i8x16.bitmask(i8x16.eq(block, i8x16.splat(0x22)));
  const others = i8x16.bitmask(v128.or(i8x16.eq(block, i8x16.splat(0x5c)), i8x16.lt_u(block, i8x16.splat(0x20))));
  if (quotes == 0 || (others & ((quotes & -quotes) - 1)) != 0) return -1;
  v128.store(to, block);
  return ctz(quotes);
}

/** Whether the ASCII string `name` stands at `bytes`. */
export function sameText(name: string, bytes: usize): bool {
  for (let i = 0; i < name.length; i++) {
    if (<u8>load<u16>(changetype<usize>(name) + (<usize>i << 1)) != load<u8>(bytes + <usize>i)) return false;
  }
  return true;
}

/** Bytes that may stand in a number or literal. */
export function isScalar(byte: u8): bool {
  return byte - 48 < 10 || (byte | 0x20) - 97 < 26 || byte == 0x2d || byte == 0x2b || byte == 0x2e;
}
