/**
 * Sets of up to 256 slots as four words in raw memory: slot s is bit s & 63 of word s >> 6.
 *
 *   +0  slots 0..63    +8  64..127    +16  128..191    +24  192..255
 */

export const MAX_SLOTS: i32 = 256;
export const MASK_BYTES: usize = 32;

@inline
export function maskHas(mask: usize, slot: i32): bool {
  return ((load<u64>(mask + ((<usize>slot >> 6) << 3)) >> (<u64>slot & 63)) & 1) != 0;
}

@inline
export function maskAdd(mask: usize, slot: i32): void {
  const word = mask + ((<usize>slot >> 6) << 3);
  store<u64>(word, load<u64>(word) | ((<u64>1) << (<u64>slot & 63)));
}

@inline
export function maskRemove(mask: usize, slot: i32): void {
  const word = mask + ((<usize>slot >> 6) << 3);
  store<u64>(word, load<u64>(word) & ~((<u64>1) << (<u64>slot & 63)));
}

/** Whether a slot is in both. */
@inline
export function masksMeet(a: usize, b: usize): bool {
  return (
    ((load<u64>(a) & load<u64>(b)) |
      (load<u64>(a, 8) & load<u64>(b, 8)) |
      (load<u64>(a, 16) & load<u64>(b, 16)) |
      (load<u64>(a, 24) & load<u64>(b, 24))) !=
    0
  );
}

/** Puts the slots that are in both into `out`; how many. */
export function maskIntersection(a: usize, b: usize, out: usize): i32 {
  let count: u64 = 0;
  for (let at: usize = 0; at < MASK_BYTES; at += 8) {
    const word = load<u64>(a + at) & load<u64>(b + at);
    store<u64>(out + at, word);
    count += popcnt<u64>(word);
  }
  return <i32>count;
}
