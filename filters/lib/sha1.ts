/**
 * SHA-1, for rings that must agree with ones made elsewhere. It is broken as a signature; as a hash of positions it is only slow.
 *
 * One-shot over bytes that lie together. Reference: FIPS 180-4, sections 5.1.1 and 6.1.
 */

/** Bytes of a block. */
const BLOCK: i32 = 64;

/** The padded end of a message: at most two blocks. */
const TAIL: usize = memory.data(128);
/** The last 16 words of the message schedule, a circle. */
const SCHEDULE: usize = memory.data(64);

let h0: u32 = 0;
let h1: u32 = 0;
let h2: u32 = 0;
let h3: u32 = 0;
let h4: u32 = 0;

/** Writes the 20 bytes of the digest of [at, at + length) to `digest`. O(length), no allocation. */
export function sha1(at: usize, length: i32, digest: usize): void {
  run(at, length);
  store<u32>(digest, bswap<u32>(h0));
  store<u32>(digest, bswap<u32>(h1), 4);
  store<u32>(digest, bswap<u32>(h2), 8);
  store<u32>(digest, bswap<u32>(h3), 12);
  store<u32>(digest, bswap<u32>(h4), 16);
}

/** Word `index` (0 or 1) of the digest read as big-endian numbers of 64 bits; word 0 is its leading 64 bits. */
export function sha1Word(at: usize, length: i32, index: i32): u64 {
  run(at, length);
  return index == 0 ? ((<u64>h0) << 32) | <u64>h1 : ((<u64>h2) << 32) | <u64>h3;
}

function run(at: usize, length: i32): void {
  h0 = 0x67452301;
  h1 = 0xefcdab89;
  h2 = 0x98badcfe;
  h3 = 0x10325476;
  h4 = 0xc3d2e1f0;
  const end = at + <usize>(length & ~(BLOCK - 1));
  while (at < end) {
    block(at);
    at += BLOCK;
  }
  // The rest, one bit, zeros, and the length in bits as the last eight bytes.
  const rest = length & (BLOCK - 1);
  const padded = rest < BLOCK - 8 ? BLOCK : 2 * BLOCK;
  memory.copy(TAIL, at, rest);
  memory.fill(TAIL + <usize>rest, 0, padded - rest);
  store<u8>(TAIL + <usize>rest, 0x80);
  store<u64>(TAIL + <usize>padded - 8, bswap<u64>((<u64>length) << 3));
  block(TAIL);
  if (padded > BLOCK) block(TAIL + BLOCK);
}

function block(at: usize): void {
  let a = h0;
  let b = h1;
  let c = h2;
  let d = h3;
  let e = h4;
  for (let t = 0; t < 80; t++) {
    const place = SCHEDULE + ((<usize>t & 15) << 2);
    let word: u32;
    if (t < 16) word = bswap<u32>(load<u32>(at + ((<usize>t) << 2)));
    else word = rotl<u32>(back(t, 3) ^ back(t, 8) ^ back(t, 14) ^ load<u32>(place), 1);
    store<u32>(place, word);
    let mixed: u32;
    if (t < 20) mixed = (d ^ (b & (c ^ d))) + 0x5a827999;
    else if (t < 40) mixed = (b ^ c ^ d) + 0x6ed9eba1;
    else if (t < 60) mixed = ((b & c) | (d & (b | c))) + 0x8f1bbcdc;
    else mixed = (b ^ c ^ d) + 0xca62c1d6;
    const next = rotl<u32>(a, 5) + mixed + e + word;
    e = d;
    d = c;
    c = rotl<u32>(b, 30);
    b = a;
    a = next;
  }
  h0 += a;
  h1 += b;
  h2 += c;
  h3 += d;
  h4 += e;
}

/** The word of the schedule `steps` before word `t`. */
@inline
function back(t: i32, steps: i32): u32 {
  return load<u32>(SCHEDULE + ((<usize>(t - steps) & 15) << 2));
}
