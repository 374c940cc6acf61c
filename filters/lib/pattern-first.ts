/**
 * Where a match can begin: most bytes of a text are none a match begins with, and 16 of them are passed over at once.
 *
 * A character is told by its two halves: one table has, for each lower half, a bit for each upper half that makes a character a match can begin with.
 */
import { hasBit, PatternAlphabet } from "./pattern-alphabet";

@final
export class FirstBytes {
  /** `find` stops at every byte above ASCII; else at none. */
  readonly aboveAscii: bool;

  /** For each lower half: its upper halves. */
  private readonly halves: StaticArray<u8>;

  /** `kinds`: bits of the kinds of characters a match can begin with. */
  constructor(alphabet: PatternAlphabet, kinds: StaticArray<u8>) {
    const bits = changetype<usize>(kinds);
    const halves = new StaticArray<u8>(16);
    for (let byte = 0; byte < 128; byte++) {
      if (!hasBit(bits, alphabet.ascii[byte] >> 1)) continue;
      halves[byte & 15] |= <u8>1 << <u8>(byte >> 4);
    }
    this.halves = halves;
    this.aboveAscii = alphabet.anyAbove(bits);
  }

  /** The next byte in [at, end) that may begin a match, or `end`. */
  find(at: usize, end: usize): usize {
    const halves = v128.load(changetype<usize>(this.halves));
    const upper = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    const low = i8x16.splat(15);
    const aboveAscii = i8x16.splat(this.aboveAscii ? -128 : 0);
    while (at + 16 <= end) {
      const block = v128.load(at);
      const hits = v128.and(i8x16.swizzle(halves, v128.and(block, low)), i8x16.swizzle(upper, i8x16.shr_u(block, 4)));
      const stops = v128.or(hits, v128.and(block, aboveAscii));
      if (v128.any_true(stops)) return at + <usize>ctz(i8x16.bitmask(i8x16.ne(stops, i8x16.splat(0))));
      at += 16;
    }
    for (; at < end; at++) {
      const byte = load<u8>(at);
      if (byte >= 0x80) {
        if (this.aboveAscii) return at;
      } else if ((load<u8>(changetype<usize>(this.halves) + (byte & 15)) >> (byte >> 4)) & 1) return at;
    }
    return end;
  }
}
