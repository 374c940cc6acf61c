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
