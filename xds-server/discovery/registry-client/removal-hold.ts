/**
 * A registry that has lost its memory (an Eureka server that was restarted, a Consul cluster that was built anew) answers rightly and knows only those who have registered again so far.
 * For a grace period after that, who was there before and is missing stays; who is seen again, or said to be gone, counts as always.
 *
 * Pure; the time is passed in, ms of a monotonic clock. O(n) per answer.
 */
import type { RawEndpoint } from "../endpoint.ts";

interface Held {
  readonly endpoint: RawEndpoint;
  readonly until: number;
}

export class RemovalHold {
  readonly #graceMs: number;
  /** By {@link addressOf}: Envoy knows an endpoint by it. */
  readonly #held = new Map<string, Held>();
  /** The last answer of the registry itself. */
  #current: readonly RawEndpoint[] = [];

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** When {@link apply} must be called again although nothing new is known; undefined while nothing is held. */
  get deadline(): number | undefined {
    return this.#held.size === 0 ? undefined : Math.min(...[...this.#held.values()].map(({ until }) => until));
  }

  /** Who is missing from the next answer may only not be known again yet. Who is held already is not held longer by this. */
  doubt(now: number): void {
    for (const endpoint of this.#current) this.#held.set(addressOf(endpoint), { endpoint, until: now + this.#graceMs });
  }

  /** The registry says itself that an instance has gone. */
  gone(id: string): void {
    this.#current = this.#current.filter((each) => each.id !== id);
    for (const [address, { endpoint }] of this.#held) if (endpoint.id === id) this.#held.delete(address);
  }

  /** @returns what the registry has, and what is held besides it */
  apply(current: readonly RawEndpoint[], now: number): readonly RawEndpoint[] {
    this.#current = current;
    if (this.#held.size === 0) return current;
    const seen = new Set(current.map(({ id }) => id));
    for (const each of current) this.#held.delete(addressOf(each));
    for (const [address, { endpoint, until }] of this.#held)
      if (now >= until || seen.has(endpoint.id)) this.#held.delete(address);
    return this.#held.size === 0 ? current : [...current, ...[...this.#held.values()].map(({ endpoint }) => endpoint)];
  }
}

function addressOf({ address, port }: RawEndpoint): string {
  return `${address} ${port}`;
}
