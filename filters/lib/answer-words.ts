/** Looks a word of an answer up in a short list of known ones. For words that are rare: a list is a fifth of the code of comparisons. */

const SPACE: u16 = 0x20;
const ZERO: i32 = 48;
const STAR: u16 = 0x2a;

/**
 * Meaning of the word of `length` bytes at `at`, 0 when it is not in the list. `list`: words in ASCII, each behind a digit that is its meaning and in front of a space; one
 * that ends with a star stands for all that begin like it.
 */
export function meaningOf(list: string, at: usize, length: i32): i32 {
  let place = changetype<usize>(list);
  const end = place + (<usize>list.length << 1);
  while (place < end) {
    const meaning = <i32>load<u16>(place) - ZERO;
    let i = 0;
    place += 2;
    let next = load<u16>(place);
    while (next != SPACE && next != STAR && i < length && next == <u16>load<u8>(at + <usize>i)) {
      place += 2;
      next = load<u16>(place);
      i++;
    }
    if (next == STAR || (next == SPACE && i == length)) return meaning;
    while (load<u16>(place) != SPACE) place += 2;
    place += 2;
  }
  return 0;
}
