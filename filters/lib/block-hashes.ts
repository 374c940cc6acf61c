/**
 * A chain of hashes over bytes that are written one after another: one per complete block, each over all bytes up to its end.
 *
 *   hash of block i = XXH64(block i, seed = hash of block i - 1)
 *
 * Writers put bytes at `out` and call `flush` before they come too close to the end of the stage. Fixed memory, no allocation.
 */
import { XxHash64, xxhash64 } from "./xxhash64";

/** Bytes of a block. */
export const PREFIX_BLOCK: i32 = 256;
/** 1 MiB of text: more than any engine's cache keeps of one conversation. */
export const MAX_PREFIX_BLOCKS: i32 = 4096;

/** What may be written beyond `high` before the next `flush`. */
const SLACK: usize = 128;
const STAGE: usize = 4096;

@final
export class BlockHashes {
  /** Where the next byte is to be written. */
  out: usize = 0;
  /** `flush` when `out` is beyond this. */
  readonly high: usize;
  /** Complete blocks, and their hashes, u64 each. */
  blocks: i32 = 0;
  readonly hashes: usize = heap.alloc(<usize>MAX_PREFIX_BLOCKS * sizeof<u64>());
  /** No further block is kept. */
  full: bool = false;
  /** Bytes behind the last block, and their hash; known after `finish`. */
  tailBytes: i32 = 0;
  tail: u64 = 0;

  private readonly stage: usize = heap.alloc(STAGE + SLACK);
  private hash: u64 = 0;
  /** Address of the first byte that is digested rather than chained; 0 when there is none. */
  private digested: usize = 0;
  private readonly digest: XxHash64 = new XxHash64();

  constructor() {
    this.high = this.stage + STAGE;
    this.begin(0);
  }

  begin(seed: u64): void {
    this.out = this.stage;
    this.blocks = 0;
    this.full = false;
    this.tailBytes = 0;
    this.tail = 0;
    this.hash = seed;
    this.digested = 0;
  }

  /** Hashes what is complete. O(bytes written since). */
  flush(): void {
    const end = this.digested == 0 ? this.out : this.digested;
    if (this.digested != 0) this.digest.update(end, <i32>(this.out - end));
    const stop = min(this.blocks + <i32>((end - this.stage) >> 8), MAX_PREFIX_BLOCKS);
    let at = this.stage;
    let hash = this.hash;
    for (let i = this.blocks; i < stop; i++) {
      hash = xxhash64(at, PREFIX_BLOCK, hash);
      store<u64>(this.hashes + (<usize>i << 3), hash);
      at += PREFIX_BLOCK;
    }
    this.hash = hash;
    this.blocks = stop;
    this.full = stop == MAX_PREFIX_BLOCKS;
    const left: usize = this.full ? 0 : end - at;
    memory.copy(this.stage, at, left);
    this.out = this.stage + left;
    if (this.digested != 0) this.digested = this.out;
  }

  /** From here on bytes are not chained, but count 8 bytes together. */
  beginDigest(): void {
    this.digested = this.out;
    this.digest.reset(0);
  }

  endDigest(): void {
    if (this.digested == 0) return;
    this.digest.update(this.digested, <i32>(this.out - this.digested));
    this.out = this.digested + sizeof<u64>();
    store<u64>(this.digested, this.digest.digest());
    this.digested = 0;
  }

  /** Nothing is written any more. */
  finish(): void {
    this.flush();
    this.tailBytes = <i32>(this.out - this.stage);
    this.tail = xxhash64(this.stage, this.tailBytes, this.hash);
  }
}
