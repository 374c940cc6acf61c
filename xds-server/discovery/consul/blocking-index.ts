/**
 * The index of blocking queries: what has been seen, and what to wait for.
 * See https://developer.hashicorp.com/consul/api-docs/features/blocking
 */

export interface IndexStep {
  /** The index went backwards: Consul has lost its state, or was restored from an older one. */
  readonly backwards: boolean;
  /** There is no index to wait for; the next question would be answered at once. */
  readonly missing: boolean;
}

export class BlockingIndex {
  #waitFor = 0n;
  #seen = 0n;

  /** Of the next question; undefined asks for an answer at once. */
  get parameter(): string | undefined {
    return this.#waitFor === 0n ? undefined : String(this.#waitFor);
  }

  /** @param header X-Consul-Index of an answer */
  follow(header: string | undefined): IndexStep {
    // The index is an unsigned 64-bit number: as a double it would lose its last digits.
    const index = header !== undefined && /^\d{1,20}$/.test(header) ? BigInt(header) : 0n;
    if (index === 0n) {
      this.#waitFor = 0n;
      return { backwards: false, missing: true };
    }
    const backwards = index < this.#seen;
    this.#seen = index;
    this.#waitFor = backwards ? 0n : index;
    return { backwards, missing: false };
  }

  /** After a failure: the next answer is wanted at once, and still compared with what was seen. */
  askAtOnce(): void {
    this.#waitFor = 0n;
  }
}
