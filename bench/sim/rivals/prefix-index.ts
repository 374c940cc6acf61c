/** What a router remembers of the prompts that it sent to each endpoint: per endpoint an LRU of block hashes. No answers, no news from engines. */

export interface IndexRules {
  /** Blocks per endpoint. */
  readonly capacity: number;
  /** `head`: the first block is touched first, so the head of a chain is evicted before its tail. */
  readonly touch: "head" | "tail";
  /** Whether the matched blocks of an endpoint must follow each other from the first on. */
  readonly contiguous: boolean;
}

/** Endpoints are bits: at most 32. */
export class PrefixIndex {
  private readonly holders = new Map<number, number>();
  private readonly recency: Map<number, true>[] = [];
  private readonly matched: Int32Array;

  constructor(
    readonly endpoints: number,
    private readonly rules: IndexRules,
  ) {
    if (endpoints > 32) throw new Error("an index has at most 32 endpoints");
    for (let slot = 0; slot < endpoints; slot++) this.recency.push(new Map());
    this.matched = new Int32Array(endpoints);
  }

  /** Matched blocks by slot; the array is good until the next call. One pass for all endpoints, up to the first block that nobody has. */
  match(chain: readonly number[], length: number): Int32Array {
    this.matched.fill(0);
    let mask = -1;
    for (let i = 0; i < length; i++) {
      const holders = this.holders.get(chain[i] as number) ?? 0;
      mask = this.rules.contiguous ? mask & holders : holders;
      if (mask === 0) break;
      for (let left = mask; left !== 0; left &= left - 1) {
        const slot = 31 - Math.clz32(left & -left);
        this.matched[slot] = (this.matched[slot] ?? 0) + 1;
      }
    }
    return this.matched;
  }

  add(chain: readonly number[], length: number, slot: number): void {
    const recency = this.recency[slot] as Map<number, true>;
    for (let i = 0; i < length; i++) {
      const hash = chain[this.rules.touch === "head" ? i : length - 1 - i] as number;
      if (recency.delete(hash)) recency.set(hash, true);
      else {
        recency.set(hash, true);
        this.holders.set(hash, (this.holders.get(hash) ?? 0) | (1 << slot));
      }
    }
    for (const hash of recency.keys()) {
      if (recency.size <= this.rules.capacity) break;
      recency.delete(hash);
      this.drop(hash, slot);
    }
  }

  /** Whether the endpoint is believed to have the block. */
  has(slot: number, hash: number): boolean {
    return this.recency[slot]?.has(hash) ?? false;
  }

  /** The endpoint has gone. */
  forget(slot: number): void {
    const recency = this.recency[slot] as Map<number, true>;
    for (const hash of recency.keys()) this.drop(hash, slot);
    recency.clear();
  }

  private drop(hash: number, slot: number): void {
    const left = (this.holders.get(hash) ?? 0) & ~(1 << slot);
    if (left === 0) this.holders.delete(hash);
    else this.holders.set(hash, left);
  }
}
