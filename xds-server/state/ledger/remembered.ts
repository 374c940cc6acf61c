/** What was answered under a name, for {@link REMEMBERED_MS}: in memory, bounded, the oldest first out. */
import { REMEMBERED_MS } from "./store.ts";

export class Remembered<T> {
  /** In the order of time. */
  readonly #byName = new Map<string, { readonly at: number; readonly value: T }>();
  readonly #maxNames: number;

  constructor(maxNames: number) {
    this.#maxNames = maxNames;
  }

  /** @param now ms since the epoch */
  recall(name: string, now: number): T | undefined {
    const known = this.#byName.get(name);
    return known !== undefined && now - known.at < REMEMBERED_MS ? known.value : undefined;
  }

  remember(name: string, now: number, value: T): void {
    this.#byName.delete(name);
    this.#byName.set(name, { at: now, value });
    if (this.#byName.size <= this.#maxNames) return;
    const oldest = this.#byName.keys().next();
    if (oldest.done !== true) this.#byName.delete(oldest.value);
  }

  /** Drops what is forgotten. O(number of those). */
  sweep(now: number): void {
    for (const [name, { at }] of this.#byName) {
      if (now - at < REMEMBERED_MS) break;
      this.#byName.delete(name);
    }
  }
}
