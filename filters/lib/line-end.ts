/**
 * Finds the end of a line: the next CR or LF.
 *
 * Lines of an LLM stream are hundreds of bytes of JSON, and this loop is the only one that looks at each of them. Both twins return the
 * same address for every input; the test compares them.
 */

const LF: u8 = 0x0a;
const CR: u8 = 0x0d;

/** Address of the next CR or LF in [at, end), or `end`. SIMD, 16 bytes a step. */
export function lineEnd(at: usize, end: usize): usize {
  const lf = i8x16.splat(LF);
  const cr = i8x16.splat(CR);
  while (at + 16 <= end) {
    const block = v128.load(at);
    const hits = v128.or(i8x16.eq(block, lf), i8x16.eq(block, cr));
    if (v128.any_true(hits)) return at + <usize>ctz(i8x16.bitmask(hits));
    at += 16;
  }
  return lineEndScalar(at, end);
}

/** The scalar twin of `lineEnd`; also its tail. */
export function lineEndScalar(at: usize, end: usize): usize {
  while (at < end) {
    const byte = load<u8>(at);
    if (byte == LF || byte == CR) return at;
    at++;
  }
  return end;
}
