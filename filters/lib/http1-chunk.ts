/** A chunk of HTTP/1.1 (RFC 9112, section 7.1): size in hexadecimal digits, CRLF, data, CRLF. */

/**
 * Whether [ptr, ptr + length) is exactly one chunk, without extensions, whose data end with the `size` bytes at `text`. O(size), reads nothing beyond `length`.
 */
export function isChunkEndingWith(ptr: usize, length: i32, text: usize, size: i32): bool {
  let at = 0;
  let data: i64 = 0;
  while (at < length && at < 8) {
    const digit = hexValue(load<u8>(ptr + at));
    if (digit < 0) break;
    data = (data << 4) | digit;
    at++;
  }
  // The last chunk, of size 0, has no data to end with anything.
  if (data == 0 || <i64>at + 2 + data + 2 != <i64>length) return false;
  if (!isLineEnd(ptr + at) || !isLineEnd(ptr + length - 2)) return false;
  return data >= <i64>size && memory.compare(ptr + length - 2 - size, text, size) == 0;
}

function isLineEnd(ptr: usize): bool {
  return load<u8>(ptr) == 0x0d && load<u8>(ptr, 1) == 0x0a;
}

function hexValue(byte: u8): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
