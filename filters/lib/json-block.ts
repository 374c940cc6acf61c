/**
 * JSON text as bit masks, 64 bytes at a time: which bytes are this one, and which are escaped.
 *
 * A loop that stops at each escape is slowed down by branches no processor predicts; arithmetic on masks has none.
 * Method: Langdale and Lemire, "Parsing gigabytes of JSON per second", section 3.1.
 */

export const BLOCK: usize = 64;
const EVEN_BITS: u64 = 0x5555555555555555;

/** One bit per byte of the block at `at` that equals `byte` once the bits of `fold` are set. */
@inline
export function bytesEqual(at: usize, byte: u8, fold: u8): u64 {
  const value = i8x16.splat(byte);
  const bits = i8x16.splat(fold);
  return (
    <u64>i8x16.bitmask(i8x16.eq(v128.or(v128.load(at), bits), value)) |
    (<u64>i8x16.bitmask(i8x16.eq(v128.or(v128.load(at, 16), bits), value)) << 16) |
    (<u64>i8x16.bitmask(i8x16.eq(v128.or(v128.load(at, 32), bits), value)) << 32) |
    (<u64>i8x16.bitmask(i8x16.eq(v128.or(v128.load(at, 48), bits), value)) << 48)
  );
}

/**
 * Bytes behind an odd run of backslashes; `carry` is 1 when the first byte is. Adding to the starts of runs carries through
 * them and tells the parity of their ends.
 */
@inline
export function escapedBytes(slashes: u64, carry: u64): u64 {
  const open = slashes & ~carry;
  const follows = (open << 1) | carry;
  const sum = (open & ~EVEN_BITS & ~follows) + open;
  return (EVEN_BITS ^ (sum << 1)) & follows;
}

/** Bits from each odd quote to the next: inside of strings, when the block starts outside of one. */
@inline
export function betweenQuotes(quotes: u64): u64 {
  quotes ^= quotes << 1;
  quotes ^= quotes << 2;
  quotes ^= quotes << 4;
  quotes ^= quotes << 8;
  quotes ^= quotes << 16;
  return quotes ^ (quotes << 32);
}
