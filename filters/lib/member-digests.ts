/**
 * The digests of the members of all open objects, on one stack. An object that ends takes its own from the top, in an order that does not depend on the one they came in.
 *
 * Each has a word to be sorted by:
 *
 *   15-63   of the hash of its name
 *   1-14    which member of its object it is
 *   0       it counts only if another one has its name
 *
 * So a name that comes twice keeps the order it came in. Two names whose words are alike, one pair in 2^49, cost a miss and never a wrong answer.
 */
import { SipHash } from "./sip-hash";
import { sortWords } from "./word-sort";

/** Members of all open objects together. */
export const MAX_MEMBERS: i32 = 1 << 14;
const NAME_SHIFT: u64 = 15;
const FIRST_CAPACITY: i32 = 256;

@final
export class MemberDigests {
  private capacity: i32 = FIRST_CAPACITY;
  private words: usize = heap.alloc(FIRST_CAPACITY << 3);
  private digests: usize = heap.alloc(FIRST_CAPACITY << 4);
  private count: i32 = 0;

  reset(): void {
    this.count = 0;
  }

  /** The digest of member `index` of the innermost object, whose name has the hash word `name`. False when there are too many. */
  push(index: i32, name: u64, low: u64, high: u64, optional: bool): bool {
    const count = this.count;
    if (count == this.capacity && !this.grow()) return false;
    store<u64>(this.words + (<usize>count << 3), ((name >> NAME_SHIFT) << NAME_SHIFT) | (<u64>index << 1) | <u64>optional);
    const digest = this.digests + (<usize>count << 4);
    store<u64>(digest, low);
    store<u64>(digest, high, 8);
    this.count = count + 1;
    return true;
  }

  /** Takes the last `members` off and gives them to the hash. Returns how many of them count. O(members x log members). */
  take(members: i32, hash: SipHash): i32 {
    this.count -= members;
    const words = this.words + (<usize>this.count << 3);
    const digests = this.digests + (<usize>this.count << 4);
    const end = words + (<usize>members << 3);
    sortWords(words, members);
    let counted = 0;
    for (let at = words; at < end; at += 8) {
      const word = load<u64>(at);
      if ((word & 1) != 0 && (at == words || !sameName(at - 8, word)) && (at + 8 == end || !sameName(at + 8, word))) continue;
      hash.words(digests + ((<usize>word << 3) & ((MAX_MEMBERS - 1) << 4)), 16);
      counted++;
    }
    return counted;
  }

  /** Twice the room, which stays. */
  private grow(): bool {
    if (this.capacity == MAX_MEMBERS) return false;
    this.capacity <<= 1;
    this.words = heap.realloc(this.words, <usize>this.capacity << 3);
    this.digests = heap.realloc(this.digests, <usize>this.capacity << 4);
    return true;
  }
}

function sameName(at: usize, word: u64): bool {
  return (load<u64>(at) ^ word) >> NAME_SHIFT == 0;
}
