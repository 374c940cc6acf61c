/**
 * Sorts words of 64 bits in place, ascending: hashes, so their leading bits are spread evenly.
 *
 * Many words first go to the bucket of their leading bits (American flag sort: swaps until every word is in its own); a bucket, or a few words, is
 * heap-sorted, which no input makes slow. McIlroy, Bostic and McIlroy 1993.
 */

const BUCKET_BITS: i32 = 10;
const BUCKETS: usize = 1 << BUCKET_BITS;
/** From here on buckets pay. */
const MANY: i32 = 8 << BUCKET_BITS;
/** Of every bucket: index of its next word that is not in place, and of its end. */
const HEADS: usize = memory.data(4096);
const ENDS: usize = memory.data(4096);

/** O(count x log count) at worst, about O(count) for hashes. */
export function sortWords(at: usize, count: i32): void {
  if (count < MANY) heapSort(at, count);
  else flagSort(at, count);
}

function flagSort(at: usize, count: i32): void {
  memory.fill(ENDS, 0, BUCKETS << 2);
  for (let i = 0; i < count; i++) {
    const end = ENDS + bucketOf(load<u64>(at + (<usize>i << 3)));
    store<i32>(end, load<i32>(end) + 1);
  }
  let sum = 0;
  for (let bucket: usize = 0; bucket < BUCKETS << 2; bucket += 4) {
    store<i32>(HEADS + bucket, sum);
    sum += load<i32>(ENDS + bucket);
    store<i32>(ENDS + bucket, sum);
  }
  let start = 0;
  for (let bucket: usize = 0; bucket < BUCKETS << 2; bucket += 4) {
    const end = load<i32>(ENDS + bucket);
    for (let head = load<i32>(HEADS + bucket); head < end; head++) {
      let word = load<u64>(at + (<usize>head << 3));
      for (let to = bucketOf(word); to != bucket; to = bucketOf(word)) {
        const place = load<i32>(HEADS + to);
        store<i32>(HEADS + to, place + 1);
        const other = load<u64>(at + (<usize>place << 3));
        store<u64>(at + (<usize>place << 3), word);
        word = other;
      }
      store<u64>(at + (<usize>head << 3), word);
      store<i32>(HEADS + bucket, head + 1);
    }
    heapSort(at + (<usize>start << 3), end - start);
    start = end;
  }
}

/** Offset of the bucket's number in HEADS and ENDS. */
@inline
function bucketOf(word: u64): usize {
  return <usize>(word >> (64 - BUCKET_BITS)) << 2;
}

function heapSort(at: usize, count: i32): void {
  for (let root = (count >> 1) - 1; root >= 0; root--) sink(at, root, count);
  for (let end = count - 1; end > 0; end--) {
    const last = at + (<usize>end << 3);
    const greatest = load<u64>(at);
    store<u64>(at, load<u64>(last));
    store<u64>(last, greatest);
    sink(at, 0, end);
  }
}

/** Moves the word at `root` down until no child is greater. */
function sink(at: usize, root: i32, count: i32): void {
  const value = load<u64>(at + (<usize>root << 3));
  while (true) {
    let child = 2 * root + 1;
    if (child >= count) break;
    let below = load<u64>(at + (<usize>child << 3));
    if (child + 1 < count) {
      const other = load<u64>(at + (<usize>(child + 1) << 3));
      if (other > below) {
        below = other;
        child++;
      }
    }
    if (below <= value) break;
    store<u64>(at + (<usize>root << 3), below);
    root = child;
  }
  store<u64>(at + (<usize>root << 3), value);
}
