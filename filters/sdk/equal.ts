/** Equality of two memory ranges, eight bytes at a time; `memory.compare` of the standard library orders them byte by byte. O(length). */
export function equalMemory(a: usize, b: usize, len: i32): bool {
  let n = len;
  while (n >= 8) {
    if (load<u64>(a) != load<u64>(b)) return false;
    a += 8;
    b += 8;
    n -= 8;
  }
  while (n > 0) {
    if (load<u8>(a) != load<u8>(b)) return false;
    a++;
    b++;
    n--;
  }
  return true;
}

/** The same for ranges that are long and mostly equal, 64 bytes at a time. O(length). */
export function equalBlocks(a: usize, b: usize, len: i32): bool {
  const stop = a + <usize>(len & ~63);
  while (a < stop) {
    const first = v128.or(v128.xor(v128.load(a), v128.load(b)), v128.xor(v128.load(a, 16), v128.load(b, 16)));
    const second = v128.or(v128.xor(v128.load(a, 32), v128.load(b, 32)), v128.xor(v128.load(a, 48), v128.load(b, 48)));
    if (v128.any_true(v128.or(first, second))) return false;
    a += 64;
    b += 64;
  }
  return equalMemory(a, b, len & 63);
}
