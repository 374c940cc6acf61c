/** The objects and arrays that `JsonWalker` is inside of and whose members it shows: a tag and an offset each. */

/** Longest path of entered values; deeper ones are skipped. */
export const MAX_ENTERED: i32 = 16;

@final
export class EnteredPath {
  depth: i32 = 0;
  private readonly tags: usize = heap.alloc(MAX_ENTERED);
  private readonly starts: usize = heap.alloc(MAX_ENTERED * 4);

  /** Of the innermost one; `depth` must not be 0. */
  get tag(): i32 {
    return load<u8>(this.tags + <usize>(this.depth - 1));
  }

  get start(): u32 {
    return load<u32>(this.starts + (<usize>(this.depth - 1) << 2));
  }

  /** False when the path is full. */
  push(tag: i32, start: u32): bool {
    if (this.depth >= MAX_ENTERED) return false;
    store<u8>(this.tags + <usize>this.depth, <u8>tag);
    store<u32>(this.starts + (<usize>this.depth << 2), start);
    this.depth++;
    return true;
  }
}
