/** A token bucket per address: pure state, the clock is passed in. */

export interface RateOptions {
  /** Requests at once. */
  readonly burst: number;
  readonly perSecond: number;
  /** Addresses that are remembered; the one that was quiet longest is forgotten, with a full bucket. */
  readonly maxAddresses: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

export class RequestRate {
  readonly #options: RateOptions;
  /** In the order of the last request. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RateOptions) {
    this.#options = options;
  }

  /**
   * Takes one request. O(1).
   * @param now milliseconds; a clock that goes backwards refills nothing
   * @returns 0 when it may go on, else seconds until it may, at least 1
   */
  take(address: string, now: number): number {
    const { burst, perSecond, maxAddresses } = this.#options;
    const bucket = this.#buckets.get(address) ?? { tokens: burst, at: now };
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    if (this.#buckets.size > maxAddresses) {
      const oldest = this.#buckets.keys().next().value;
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    const passed = Math.max(0, now - bucket.at) / 1_000;
    bucket.tokens = Math.min(burst, bucket.tokens + passed * perSecond);
    bucket.at = now;
    if (bucket.tokens >= 1) {
      bucket.tokens--;
      return 0;
    }
    return Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond));
  }
}
