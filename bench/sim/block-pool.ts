/**
 * KV-cache blocks of one engine: counted references, and among the blocks that nobody uses a queue in the order in which they were freed, from whose front
 * blocks are taken for new content. A freed block keeps its content until then, so a later prompt with the same beginning finds it.
 *
 *   unused, front of the queue ---> ... ---> freed last        in use: references > 0, not in the queue
 */
const NONE = -1;

export class BlockPool {
  private readonly contents: Float64Array; // hash by block, NaN for none
  private readonly references: Int32Array;
  private readonly previous: Int32Array;
  private readonly next: Int32Array;
  private readonly byHash = new Map<number, number>();
  private front = NONE;
  private back = NONE;
  private unused = 0;

  constructor(readonly capacity: number) {
    this.contents = new Float64Array(capacity).fill(Number.NaN);
    this.references = new Int32Array(capacity);
    this.previous = new Int32Array(capacity).fill(NONE);
    this.next = new Int32Array(capacity).fill(NONE);
    for (let block = 0; block < capacity; block++) this.append(block);
  }

  /** Blocks that can be taken: never used ones and cached ones without references. */
  get available(): number {
    return this.unused;
  }

  get used(): number {
    return this.capacity - this.unused;
  }

  /** Blocks with content that a prompt can match. */
  get cached(): number {
    return this.byHash.size;
  }

  /** Number of leading blocks of `chain`, at most `limit`, that are here. O(match). */
  match(chain: readonly number[], limit = chain.length): number {
    let length = 0;
    while (length < limit && this.byHash.has(chain[length] as number)) length++;
    return length;
  }

  /** How many of the first `length` blocks of `chain`, all of them here, are in nobody's use: taking them lowers `available`. */
  unusedOf(chain: readonly number[], length: number): number {
    let count = 0;
    for (let i = 0; i < length; i++) if (this.references[this.byHash.get(chain[i] as number) ?? 0] === 0) count++;
    return count;
  }

  /** Adds a reference to the block with this content; it must be here. */
  share(hash: number): number {
    const block = this.byHash.get(hash);
    if (block === undefined) throw new Error("no block has this content");
    if (this.references[block] === 0) this.unlink(block);
    this.references[block] = (this.references[block] ?? 0) + 1;
    return block;
  }

  /** Takes the block that was freed first and drops its content; undefined when all are in use. */
  take(): number | undefined {
    const block = this.front;
    if (block === NONE) return undefined;
    this.unlink(block);
    this.forget(block);
    this.references[block] = 1;
    return block;
  }

  /** Says what a taken block contains. When another block has the same content, this one stays without: nobody will match it. */
  fill(block: number, hash: number): void {
    if (this.byHash.has(hash)) return;
    this.contents[block] = hash;
    this.byHash.set(hash, block);
  }

  /** Drops one reference of each block, the last block first: a head without its tail is of use, a tail without its head is not. */
  release(blocks: readonly number[]): void {
    for (let i = blocks.length - 1; i >= 0; i--) {
      const block = blocks[i] as number;
      const left = (this.references[block] ?? 0) - 1;
      if (left < 0) throw new Error("a block was released more often than taken");
      this.references[block] = left;
      if (left > 0) continue;
      if (Number.isNaN(this.contents[block])) this.prepend(block);
      else this.append(block);
    }
  }

  private forget(block: number): void {
    const hash = this.contents[block] as number;
    if (Number.isNaN(hash)) return;
    this.byHash.delete(hash);
    this.contents[block] = Number.NaN;
  }

  private append(block: number): void {
    this.link(block, this.back, NONE);
  }

  private prepend(block: number): void {
    this.link(block, NONE, this.front);
  }

  private link(block: number, previous: number, next: number): void {
    this.previous[block] = previous;
    this.next[block] = next;
    if (previous === NONE) this.front = block;
    else this.next[previous] = block;
    if (next === NONE) this.back = block;
    else this.previous[next] = block;
    this.unused++;
  }

  private unlink(block: number): void {
    const [previous, next] = [this.previous[block] ?? NONE, this.next[block] ?? NONE];
    if (previous === NONE) this.front = next;
    else this.next[previous] = next;
    if (next === NONE) this.back = previous;
    else this.previous[next] = previous;
    this.unused--;
  }
}
