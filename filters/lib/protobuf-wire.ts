/** Varints of protobuf to write; `proto-fields` reads them. Reference: protobuf.dev, "Encoding". */

/** Bytes of `value` as a varint, 1 to 10: one for each begun 7 bits. The fraction 9/64 rounds like 1/7 for every number of bits up to 64. */
export function varintSize(value: u64): i32 {
  return ((63 - <i32>clz<u64>(value | 1)) * 9 + 73) >> 6;
}

/** Writes `value` at `to` and returns the address behind it. */
export function putVarint(to: usize, value: u64): usize {
  for (; value > 0x7f; value >>= 7) store<u8>(to++, <u8>value | 0x80);
  store<u8>(to, <u8>value);
  return to + 1;
}
