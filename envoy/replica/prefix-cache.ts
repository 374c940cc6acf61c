/**
 * Prefix cache of a simulated engine: which leading blocks of a prompt are already computed.
 *
 * A prompt is a chain of block hashes, each over its block and the hash before it, so equal hashes mean equal prefixes. Blocks leave in
 * least-recently-used order and the tail of a prompt before its head, as engines with paged attention free them: a head without its tail is
 * useful, a tail without its head is not.
 */
export class PrefixCache {
  /** Insertion order is recency: the first key is the next victim. */
  private readonly blocks = new Set<number>();

  get size(): number {
    return this.blocks.size;
  }

  /** Number of leading blocks of `chain` that are cached. Does not change recency. O(match). */
  match(chain: readonly number[]): number {
    let length = 0;
    for (const block of chain) {
      if (!this.blocks.has(block)) break;
      length++;
    }
    return length;
  }

  /** Stores the chain, of a longer one its first `capacity` blocks, as most recent, its head newest, then evicts down to `capacity` blocks. O(chain). */
  insert(chain: readonly number[], capacity: number): void {
    for (let i = Math.min(chain.length, capacity) - 1; i >= 0; i--) {
      const block = chain[i];
      if (block === undefined) continue;
      this.blocks.delete(block);
      this.blocks.add(block);
    }
    this.trim(capacity);
  }

  /** Evicts least-recently-used blocks until at most `capacity` stay. */
  trim(capacity: number): void {
    if (this.blocks.size <= capacity) return;
    for (const block of this.blocks) {
      if (this.blocks.size <= capacity) return;
      this.blocks.delete(block);
    }
  }
}

/**
 * Chained hashes (53 bits) of the complete `blockBytes`-sized blocks of `text`, at most `limit` of them. `seed` separates models.
 * Two 32-bit FNV-1a-style lanes, because a JavaScript number holds 53 bits and a collision would only make one answer look cached.
 */
export function blockChain(text: Uint8Array, blockBytes: number, seed: string, limit: number): number[] {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let i = 0; i < seed.length; i++) {
    a = Math.imul(a ^ seed.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ seed.charCodeAt(i), 0x85ebca6b);
  }
  const chain: number[] = [];
  const blocks = Math.min(limit, Math.floor(text.length / blockBytes));
  for (let block = 0; block < blocks; block++) {
    for (let i = block * blockBytes; i < (block + 1) * blockBytes; i++) {
      const byte = text[i] ?? 0;
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b ^ byte ^ (b >>> 15), 0x85ebca6b);
    }
    chain.push((a >>> 0) * 0x200000 + ((b >>> 11) & 0x1fffff));
  }
  return chain;
}
