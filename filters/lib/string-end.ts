/**
 * Finds the next quote or backslash: the only two bytes that matter inside a JSON string.
 *
 * Nearly all of an LLM request is string content, so this loop is where a scanner spends its time. Both twins return the
 * same offset for every input; the test compares them byte for byte.
 */

/** Address of the next `"` or `\` in [at, end), or `end`. SIMD, 16 bytes a step. */
export function stringEnd(at: usize, end: usize): usize {
  const quote = i8x16.splat(0x22);
  const backslash = i8x16.splat(0x5c);
  while (at + 16 <= end) {
    const block = v128.load(at);
    const hits = v128.or(i8x16.eq(block, quote), i8x16.eq(block, backslash));
    if (v128.any_true(hits)) return at + <usize>ctz(i8x16.bitmask(hits));
    at += 16;
  }
  return stringEndScalar(at, end);
}

/** The scalar twin of `stringEnd`; also its tail. */
export function stringEndScalar(at: usize, end: usize): usize {
  while (at < end) {
    const byte = load<u8>(at);
    if (byte == 0x22 || byte == 0x5c) return at;
    at++;
  }
  return end;
}
