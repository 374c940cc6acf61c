/**
 * Well-formed UTF-8, character by character. Reference: Unicode 16, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
 */

/** No character begins with this byte and those behind it. */
export const BROKEN: i32 = -1;
/** So far a character, but the bytes end inside it. */
export const CUT: i32 = 0;

/** Bytes of the character at `at`, which is below `end`: 1 to 4, `CUT` or `BROKEN`. */
export function utf8Length(at: usize, end: usize): i32 {
  const lead = load<u8>(at);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return BROKEN;
  if (at + 1 >= end) return CUT;
  const second = load<u8>(at, 1);
  const low: u8 = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const high: u8 = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return BROKEN;
  if (lead < 0xe0) return 2;
  if (at + 2 >= end) return CUT;
  if ((load<u8>(at, 2) & 0xc0) != 0x80) return BROKEN;
  if (lead < 0xf0) return 3;
  if (at + 3 >= end) return CUT;
  return (load<u8>(at, 3) & 0xc0) == 0x80 ? 4 : BROKEN;
}

/** Code point of the character of `length` bytes at `at`. */
export function utf8Character(at: usize, length: i32): i32 {
  const lead = <i32>load<u8>(at);
  if (length == 1) return lead;
  const second = tail(at, 1);
  if (length == 2) return ((lead & 0x1f) << 6) | second;
  if (length == 3) return ((lead & 0x0f) << 12) | (second << 6) | tail(at, 2);
  return ((lead & 0x07) << 18) | (second << 12) | (tail(at, 2) << 6) | tail(at, 3);
}

@inline
function tail(at: usize, index: usize): i32 {
  return <i32>load<u8>(at + index) & 0x3f;
}
