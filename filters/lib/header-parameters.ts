/**
 * Reads header values like `form-data; name="model"; filename=a.wav`: a word, then parameters, one at a time.
 *
 * Quoted values follow RFC 9110: a backslash quotes the next character. Browsers write backslashes as they are, so a value that would not end otherwise ends
 * in one. Parameters in the form of RFC 5987 (`name*=`) come out under that name, undecoded.
 */
import { MAX_VALUE } from "./json-scanner";

const QUOTE: u8 = 0x22;
const SEMICOLON: u8 = 0x3b;
const BACKSLASH: u8 = 0x5c;

@final
export class HeaderParameters {
  /** The value is not built like that. Final. */
  failed: bool = false;
  /** Decoded value of the parameter: `length` bytes, at most `MAX_VALUE`. */
  readonly value: usize = heap.alloc(MAX_VALUE);
  length: i32 = 0;
  truncated: bool = false;
  /** There was a backslash in it: browsers mean it, RFC 9110 does not. */
  escaped: bool = false;

  private word: usize = 0;
  private wordLength: i32 = 0;
  private at: usize = 0;
  private end: usize = 0;

  /** Starts with the header value in bytes [from, from + length) and reads its word: see `wordIs`. */
  open(from: usize, length: i32): void {
    this.at = from;
    this.end = from + <usize>length;
    this.failed = false;
    this.skipSpace();
    this.readWord();
    this.failed = this.wordLength == 0;
  }

  /** Goes to the next parameter: see `wordIs` for its name. False at the end and when `failed`. All calls for one header are O(its length). */
  next(): bool {
    if (this.failed) return false;
    this.skipSpace();
    // Stray semicolons are common and mean nothing.
    let separated = false;
    while (this.at < this.end && load<u8>(this.at) == SEMICOLON) {
      separated = true;
      this.at++;
      this.skipSpace();
    }
    if (this.at == this.end) return false;
    this.failed = !separated || !this.parameter();
    return !this.failed;
  }

  /** Whether the word, or the name of the parameter, is `name` (lower case) in any case. */
  wordIs(name: string): bool {
    return sameWord(this.word, this.wordLength, name);
  }

  wordStartsWith(name: string): bool {
    return this.wordLength >= name.length && sameWord(this.word, name.length, name);
  }

  private parameter(): bool {
    this.readWord();
    if (this.wordLength == 0 || this.at == this.end || load<u8>(this.at++) != 0x3d) return false;
    this.length = 0;
    this.truncated = false;
    this.escaped = false;
    if (this.at < this.end && load<u8>(this.at) == QUOTE) return this.quoted();
    const from = this.at;
    while (this.at < this.end) {
      const byte = load<u8>(this.at);
      if (byte == SEMICOLON || isSpace(byte)) break;
      if (byte == QUOTE) return false;
      this.emit(byte);
      this.at++;
    }
    return this.at > from;
  }

  private quoted(): bool {
    this.at++;
    while (this.at < this.end) {
      let byte = load<u8>(this.at++);
      if (byte == QUOTE) return true;
      if (byte == BACKSLASH && this.at < this.end) {
        this.escaped = true;
        byte = load<u8>(this.at++);
        if (byte == QUOTE && this.at == this.end) {
          this.emit(BACKSLASH);
          return true;
        }
      }
      this.emit(byte);
    }
    return false;
  }

  private readWord(): void {
    this.word = this.at;
    while (this.at < this.end && isWord(load<u8>(this.at))) this.at++;
    this.wordLength = <i32>(this.at - this.word);
  }

  private skipSpace(): void {
    while (this.at < this.end && isSpace(load<u8>(this.at))) this.at++;
  }

  private emit(byte: u8): void {
    if (this.length < MAX_VALUE) {
      store<u8>(this.value + <usize>this.length, byte);
      this.length++;
    } else {
      this.truncated = true;
    }
  }
}

/** Whether `length` bytes at `word` are `name` (lower case) in any case. */
export function sameWord(word: usize, length: i32, name: string): bool {
  if (length != name.length) return false;
  for (let i = 0; i < length; i++) {
    const byte = load<u8>(word + <usize>i);
    const lower: u8 = byte - 65 < 26 ? byte | 0x20 : byte;
    if (lower != <u8>load<u16>(changetype<usize>(name) + (<usize>i << 1))) return false;
  }
  return true;
}

/** Characters of tokens (RFC 9110), and the slash of media types. */
export function isWord(byte: u8): bool {
  if (byte <= 0x20 || byte >= 0x7f) return false;
  switch (byte) {
    case QUOTE:
    case SEMICOLON:
    case BACKSLASH:
    case 0x28: // (
    case 0x29: // )
    case 0x2c: // ,
    case 0x3a: // :
    case 0x3c: // <
    case 0x3d: // =
    case 0x3e: // >
    case 0x3f: // ?
    case 0x40: // @
    case 0x5b: // [
    case 0x5d: // ]
    case 0x7b: // {
    case 0x7d: // }
      return false;
    default:
      return true;
  }
}

function isSpace(byte: u8): bool {
  return byte == 0x20 || byte == 0x09;
}
