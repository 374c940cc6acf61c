/**
 * Reads a pattern character by character, escapes included, and notes the first fault: what, where (in bytes) and what to do.
 */
import { LAST_CHARACTER } from "./pattern-classes";
import { utf8Character, utf8Length } from "./pattern-utf8";

/** Longest pattern, in bytes. */
export const MAX_PATTERN: i32 = 512;
/** A count that is too large, however large it is. */
const LARGE_COUNT: i32 = 9999;
/** No byte: the pattern is over. */
export const END: i32 = -1;

/** Bytes that mean something in a pattern. */
export const enum Sign {
  Exclamation = 0x21,
  Dollar = 0x24,
  Open = 0x28,
  Close = 0x29,
  Star = 0x2a,
  Plus = 0x2b,
  Comma = 0x2c,
  Dash = 0x2d,
  Dot = 0x2e,
  Colon = 0x3a,
  Less = 0x3c,
  Equals = 0x3d,
  Question = 0x3f,
  Bracket = 0x5b,
  Backslash = 0x5c,
  BracketEnd = 0x5d,
  Caret = 0x5e,
  Brace = 0x7b,
  Bar = 0x7c,
  BraceEnd = 0x7d,
}

@final
export class PatternCursor {
  /** Why the pattern is refused; empty while it is not. */
  fault: string = "";
  /** Offset of the next byte. */
  at: i32 = 0;

  private readonly text: usize;
  private readonly length: i32;

  /** UTF-8 bytes [text, text + length). */
  constructor(text: usize, length: i32) {
    this.text = text;
    this.length = length;
    if (length == 0) this.refuse(0, "is empty", "write what the text must contain");
    else if (length > MAX_PATTERN) this.refuse(MAX_PATTERN, `has more than ${MAX_PATTERN} bytes`, "split it into several rules");
    for (let i = 0, size = 0; i < length && this.good; i += size) {
      size = utf8Length(text + i, text + length);
      if (size <= 0) this.refuse(i, "is not UTF-8", "write the byte as an escape such as \\x{e9}");
    }
  }

  get good(): bool {
    return this.fault.length == 0;
  }

  /** The first fault stays. */
  refuse(at: i32, what: string, remedy: string): void {
    if (this.good) this.fault = `pattern ${what} at byte ${at}: ${remedy}`;
  }

  peek(distance: i32 = 0): i32 {
    const at = this.at + distance;
    return at < this.length ? <i32>load<u8>(this.text + at) : END;
  }

  skip(byte: i32): bool {
    if (this.peek() != byte) return false;
    this.at++;
    return true;
  }

  private character(): i32 {
    const from = this.text + this.at;
    const size = utf8Length(from, this.text + this.length);
    this.at += size;
    return utf8Character(from, size);
  }

  /** The next character, as it stands or escaped; there is one. After a fault, any. */
  member(): i32 {
    return this.peek() == Sign.Backslash ? this.escaped() : this.character();
  }

  /** A decimal number, at most `LARGE_COUNT`; -2 when there is none. */
  count(): i32 {
    if (!isDigit(this.peek())) return -2;
    let value = 0;
    while (isDigit(this.peek())) {
      value = min(value * 10 + this.peek() - 0x30, LARGE_COUNT);
      this.at++;
    }
    return value;
  }

  /** At `\` before a character. After a fault, any. */
  private escaped(): i32 {
    const from = this.at++;
    const letter = this.peek();
    this.at++;
    if (letter == 0x6e) return 0x0a; // \n
    if (letter == 0x74) return 0x09; // \t
    if (letter == 0x72) return 0x0d; // \r
    if (letter == 0x66) return 0x0c; // \f
    if (letter == 0x76) return 0x0b; // \v
    if (letter == 0x61) return 0x07; // \a
    if (letter == 0x78) return this.hexadecimal(from); // \x
    if (letter == END) this.refuse(from, "ends in a backslash", "write \\\\ for the character");
    else if (letter == 0x30) this.refuse(from, "has an octal escape", "write \\x00 or \\x{H...}");
    else if (isDigit(letter)) {
      this.refuse(from, "has a back-reference", "it cannot be matched in linear time; write the alternatives out");
    } else if (letter == 0x75) this.refuse(from, "has the escape \\u", "write \\x{H...} with the same digits");
    else if ((letter | 0x20) == 0x70) this.refuse(from, "has a Unicode class", "write the ranges: [\\x{400}-\\x{4ff}]");
    else if (letter >= 0x80 || isLetter(letter)) {
      this.refuse(from, "has an unknown escape", "leave the backslash out, or write \\\\ for the character");
    }
    return letter;
  }

  /** Behind `\x`: two digits, or digits in braces. */
  private hexadecimal(from: i32): i32 {
    let value = 0;
    let digits = 0;
    const braces = this.skip(Sign.Brace);
    while ((braces || digits < 2) && hexadecimalDigit(this.peek()) >= 0) {
      value = min(value * 16 + hexadecimalDigit(this.peek()), LAST_CHARACTER + 1);
      digits++;
      this.at++;
    }
    const whole = braces ? digits > 0 && this.skip(Sign.BraceEnd) : digits == 2;
    if (!whole) this.refuse(from, "has a broken \\x", "write \\xHH or \\x{H...}");
    else if (value > LAST_CHARACTER || (value >= 0xd800 && value < 0xe000)) {
      this.refuse(from, "names a character that does not exist", "use one up to 10ffff, and none from d800 to dfff");
    }
    return value;
  }
}

function isDigit(byte: i32): bool {
  return byte >= 0x30 && byte <= 0x39;
}

function isLetter(byte: i32): bool {
  return (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
}

/** -1: not a digit. */
function hexadecimalDigit(byte: i32): i32 {
  if (isDigit(byte)) return byte - 0x30;
  return (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66 ? (byte | 0x20) - 0x57 : -1;
}
