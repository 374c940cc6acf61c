/**
 * Where a JSON value ends, of bytes that are all there. Strict (RFC 8259): what passes can be copied into an answer as it stands.
 *
 * Every function takes the first byte to look at and the end of the input, and returns the address behind what it found, or 0 when that is no JSON or nested
 * deeper than `MAX_NESTING`. O(bytes), no allocation. UTF-8 is not checked.
 */
import { hex } from "../json-text";

/** Deepest nesting of a value. */
const MAX_NESTING: i32 = 64;

/** The first byte that is no white space, or `end`. */
export function behindSpace(at: usize, end: usize): usize {
  while (at < end) {
    const byte = load<u8>(at);
    if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) break;
    at++;
  }
  return at;
}

/** Behind the value at `at`. */
export function behindValue(at: usize, end: usize, depth: i32 = 0): usize {
  if (at >= end) return 0;
  const byte = load<u8>(at);
  if (byte == 0x22) return behindString(at, end);
  if (byte == 0x7b || byte == 0x5b) return depth == MAX_NESTING ? 0 : behindNested(at, end, depth);
  if (byte == 0x74) return behindLiteral(at, end, 0x65757274, 4);
  if (byte == 0x6e) return behindLiteral(at, end, 0x6c6c756e, 4);
  if (byte == 0x66) return behindLiteral(at + 1, end, 0x65736c61, 4);
  return behindNumber(at, end);
}

/** Behind the key at `at`, its colon and white space: where its value is. */
export function behindKey(at: usize, end: usize): usize {
  if (at >= end || load<u8>(at) != 0x22) return 0;
  at = behindString(at, end);
  if (at == 0) return 0;
  at = behindSpace(at, end);
  return at < end && load<u8>(at) == 0x3a ? behindSpace(at + 1, end) : 0;
}

/** Behind the string whose opening quote is at `at`. */
export function behindString(at: usize, end: usize): usize {
  at++;
  while (at < end) {
    if (at + 16 <= end) {
      const block = v128.load(at);
      const stops = v128.or(
        v128.or(i8x16.eq(block, i8x16.splat(0x22)), i8x16.eq(block, i8x16.splat(0x5c))),
        i8x16.lt_u(block, i8x16.splat(0x20)),
      );
      if (!v128.any_true(stops)) {
        at += 16;
        continue;
      }
      at += <usize>ctz(i8x16.bitmask(stops));
    }
    const byte = load<u8>(at);
    if (byte == 0x22) return at + 1;
    if (byte < 0x20) return 0;
    if (byte == 0x5c) {
      at = behindEscape(at, end);
      if (at == 0) return 0;
    } else {
      at++;
    }
  }
  return 0;
}

/** Behind the escape whose backslash is at `at`. */
export function behindEscape(at: usize, end: usize): usize {
  if (at + 1 >= end) return 0;
  switch (load<u8>(at, 1)) {
    case 0x22:
    case 0x5c:
    case 0x2f:
    case 0x62:
    case 0x66:
    case 0x6e:
    case 0x72:
    case 0x74:
      return at + 2;
    case 0x75: {
      if (at + 6 > end) return 0;
      for (let i: usize = 2; i < 6; i++) if (hex(load<u8>(at + i)) < 0) return 0;
      return at + 6;
    }
    default:
      return 0;
  }
}

function behindNested(at: usize, end: usize, depth: i32): usize {
  const object = load<u8>(at) == 0x7b;
  const closing: u8 = object ? 0x7d : 0x5d;
  at = behindSpace(at + 1, end);
  if (at < end && load<u8>(at) == closing) return at + 1;
  while (true) {
    if (object) {
      at = behindKey(at, end);
      if (at == 0) return 0;
    }
    at = behindValue(at, end, depth + 1);
    if (at == 0) return 0;
    at = behindSpace(at, end);
    if (at >= end) return 0;
    const byte = load<u8>(at);
    if (byte == closing) return at + 1;
    if (byte != 0x2c) return 0;
    at = behindSpace(at + 1, end);
  }
}

function behindLiteral(at: usize, end: usize, word: u32, length: usize): usize {
  return at + length <= end && load<u32>(at) == word ? at + length : 0;
}

function behindNumber(at: usize, end: usize): usize {
  if (load<u8>(at) == 0x2d) at++;
  const first = at;
  at = behindDigits(at, end);
  if (at == first || (load<u8>(first) == 0x30 && at > first + 1)) return 0;
  if (at < end && load<u8>(at) == 0x2e) {
    const fraction = at + 1;
    at = behindDigits(fraction, end);
    if (at == fraction) return 0;
  }
  if (at < end && (load<u8>(at) | 0x20) == 0x65) {
    at++;
    if (at < end && (load<u8>(at) == 0x2b || load<u8>(at) == 0x2d)) at++;
    const exponent = at;
    at = behindDigits(at, end);
    if (at == exponent) return 0;
  }
  return at;
}

function behindDigits(at: usize, end: usize): usize {
  while (at < end && load<u8>(at) - 48 < 10) at++;
  return at;
}
