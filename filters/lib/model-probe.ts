/**
 * Finds every place where a key `model` could stand, without parsing and from any byte on: how a large body is read from its end when the last `model` wins.
 *
 * A JSON key that decodes to `model` is on the wire either the seven bytes `"model"`, or has one of its letters as an escape, and all five letters lie in
 * 0x64..0x6f, so the escape begins with `\u006`. Where neither stands there is no such key, whatever the document looks like. Text that quotes JSON has
 * `\"model\"`, whose closing quote follows a backslash, so it is no candidate.
 */

/** Bytes a candidate may reach beyond its first. */
export const CANDIDATE_REACH: i32 = 7;

/** `"model"` without its closing quote and the quote itself, little-endian. */
const QUOTE_MODE: u32 = 0x646f6d22;
const EL_QUOTE: u32 = 0x226c65;
/** `\u00`. */
const ESCAPE: u32 = 0x3030755c;

/** First address in [at, last) where a candidate begins, or `last`. Reads up to `CANDIDATE_REACH` bytes behind `last`, which must be readable. */
export function nextModelCandidate(at: usize, last: usize): usize {
  while (at + 32 <= last) {
    const low = suspects(at);
    const high = suspects(at + 16);
    if (v128.any_true(v128.or(low, high))) {
      let bits = <u32>i8x16.bitmask(low) | ((<u32>i8x16.bitmask(high)) << 16);
      while (bits != 0) {
        const hit = at + <usize>ctz(bits);
        if (isCandidate(hit)) return hit;
        bits &= bits - 1;
      }
    }
    at += 32;
  }
  while (at < last) {
    if (isCandidate(at)) return at;
    at++;
  }
  return last;
}

/** Lanes where a quote has another one six bytes on, or a backslash a `6` four bytes on: few enough to look at one by one. */
@inline
function suspects(at: usize): v128 {
  const first = v128.load(at);
  return v128.or(
    v128.and(i8x16.eq(first, i8x16.splat(0x22)), i8x16.eq(v128.load(at, 6), i8x16.splat(0x22))),
    v128.and(i8x16.eq(first, i8x16.splat(0x5c)), i8x16.eq(v128.load(at, 4), i8x16.splat(0x36))),
  );
}

/** True for `"model"` (told from an escape by its first byte) and for `\u006`. Reads seven bytes. */
function isCandidate(at: usize): bool {
  const head = load<u32>(at);
  if (head == QUOTE_MODE) return (load<u32>(at, 3) >> 8) == EL_QUOTE;
  return head == ESCAPE && load<u8>(at, 4) == 0x36;
}
