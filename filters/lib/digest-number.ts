/**
 * One JSON number, or literal, into a hash: numbers by their exact decimal value, so that 10, 1e1 and 10.0 are one and no two integers of any length are.
 *
 * A number is its digits without zeros at either end, and the exponent of ten that the last one has. The word at the end of it:
 *
 *            Number              Few: at most 6 digits, exponent in [-64, 63]
 *   56-63    kind                kind
 *   55       negative            negative
 *   48-54                        exponent, signed
 *   32-47    digits              the digits, the first one in the
 *   0-31     exponent, signed    lowest byte
 *
 * 0 is Few without digits; whether it is negative is lost, as it is to most parsers. Reference: RFC 8259 section 6.
 */
import { token, TokenKind } from "./digest-token";
import { isScalar } from "./json-capture";
import { ScanStatus } from "./json-scanner";
import { SipHash } from "./sip-hash";

/** Longest spelling; the longest that software writes for a double has a fifth of it. */
export const MAX_NUMBER: i32 = 128;
/** Largest exponent, either way. */
const MAX_EXPONENT: i32 = 999_999;
/** Digits that fit into one word. */
const FEW: i32 = 6;

/** Eight times the digit. */
const ZEROS: u64 = 0x3030303030303030;

@final
export class DigestNumber {
  /** What was read is `null`. */
  isNull: bool = false;

  private readonly bytes: usize = heap.alloc(MAX_NUMBER + 16);
  private length: i32 = 0;
  private at: usize = 0;
  private digits: i32 = 0;

  constructor(private readonly hash: SipHash) {}

  /** The short way: hashes the number at `at` and returns the address behind it, if it is all there and nothing but a few digits; else returns `at`. */
  short(at: usize, limit: usize): usize {
    if (at + 8 > limit) return at;
    const word = load<u64>(at);
    const values = word ^ ZEROS;
    // The high bit of bytes that are no digits.
    const others = (((values & 0x7f7f7f7f7f7f7f7f) + 0x7676767676767676) | values) & 0x8080808080808080;
    const length = <i32>(ctz(others) >> 3);
    if (length == 0 || length > FEW || isScalar(load<u8>(at + <usize>length))) return at;
    if (length > 1 && (values & 0xff) == 0) return at;
    const kept = 8 - (<i32>clz(values & firstBytes(length)) >> 3);
    this.few(kept == 0 ? 0 : (<u64>(length - kept) << 48) | (word & firstBytes(kept)));
    return at + <usize>length;
  }

  /** The long way begins, for any number or literal. */
  begin(): void {
    this.length = 0;
  }

  /** Returns the address behind the number, or `limit`. O(bytes), no allocation. */
  feed(at: usize, limit: usize): usize {
    let length = this.length;
    while (at < limit) {
      const byte = load<u8>(at);
      if (!isScalar(byte)) break;
      if (length < MAX_NUMBER) store<u8>(this.bytes + <usize>length, byte);
      length++;
      at++;
    }
    this.length = length;
    return at;
  }

  /** At its end: hashes it. `Complete`, or `Invalid`, or `Limit`. */
  finish(): ScanStatus {
    const bytes = this.bytes;
    this.isNull = false;
    if (this.length > MAX_NUMBER) return ScanStatus.Limit;
    // Nothing behind it may pass for digits.
    store<u64>(bytes + <usize>this.length, 0);
    if (load<u8>(bytes) >= 0x61) return this.literal();
    this.digits = 0;
    this.at = bytes;
    const negative = this.skip(0x2d);
    const zero = load<u8>(this.at) == 0x30;
    const whole = this.run();
    if (whole == 0 || (zero && whole > 1)) return ScanStatus.Invalid;
    let exponent = 0;
    if (this.skip(0x2e)) {
      exponent = -this.run();
      if (exponent == 0) return ScanStatus.Invalid;
    }
    if (this.skip(0x65) || this.skip(0x45)) {
      const minus = this.skip(0x2d);
      if (!minus) this.skip(0x2b);
      const first = this.at;
      let power = 0;
      while (load<u8>(this.at) - 48 < 10) {
        power = power * 10 + (load<u8>(this.at++) - 48);
        if (power > MAX_EXPONENT) return ScanStatus.Limit;
      }
      if (this.at == first) return ScanStatus.Invalid;
      exponent += minus ? -power : power;
    }
    if (this.at != bytes + <usize>this.length) return ScanStatus.Invalid;
    this.write(negative, exponent);
    return ScanStatus.Complete;
  }

  private write(negative: bool, exponent: i32): void {
    const bytes = this.bytes;
    let digits = this.digits;
    while (digits > 0 && load<u8>(bytes + <usize>(digits - 1)) == 0x30) {
      digits--;
      exponent++;
    }
    store<u64>(bytes + <usize>digits, 0);
    const sign = <u64>negative << 55;
    if (digits == 0) {
      this.few(0);
    } else if (digits <= FEW && exponent + 64 < 128 && exponent >= -64) {
      this.few(sign | (<u64>(exponent & 127) << 48) | load<u64>(bytes));
    } else {
      const whole = <usize>((digits + 7) & ~7);
      store<u64>(bytes + whole, token(TokenKind.Number, sign | (<u64>digits << 32) | <u64>(<u32>exponent)));
      this.hash.words(bytes, whole + 8);
    }
  }

  private few(detail: u64): void {
    this.hash.word(token(TokenKind.Few, detail));
  }

  /** Moves digits to the front, without zeros there. Returns how many were read. */
  private run(): i32 {
    const first = this.at;
    let digits = this.digits;
    let at = first;
    while (true) {
      const byte = load<u8>(at);
      if (byte - 48 >= 10) break;
      at++;
      if (digits == 0 && byte == 0x30) continue;
      store<u8>(this.bytes + <usize>digits, byte);
      digits++;
    }
    this.digits = digits;
    this.at = at;
    return <i32>(at - first);
  }

  private skip(byte: u8): bool {
    const there = load<u8>(this.at) == byte;
    if (there) this.at++;
    return there;
  }

  private literal(): ScanStatus {
    // What stands behind the word is zero.
    const word = load<u64>(this.bytes);
    let kind = TokenKind.Null;
    if (word == 0x65757274) kind = TokenKind.True;
    else if (word == 0x65736c6166) kind = TokenKind.False;
    else if (word != 0x6c6c756e) return ScanStatus.Invalid;
    this.isNull = kind == TokenKind.Null;
    this.hash.word(token(kind, 0));
    return ScanStatus.Complete;
  }
}

@inline
function firstBytes(count: i32): u64 {
  return ((<u64>1) << (<u64>count << 3)) - 1;
}
