/** Tells the other replicas which heartbeats came here, in a record of this replica's own, and hears theirs. */
import type { Logger } from "../../log.ts";
import type { RecordStore, StoredRecord } from "../../state/records/store.ts";
import type { Clock } from "../clock.ts";
import type { Leases } from "./leases.ts";
import { LEASE_LIFE_MS, LEASE_PART, MAX_LEASE_MS, MIN_LEASE_MS, SWEEP_MS } from "./limits.ts";

const PREFIX = "registry-leases/";

export interface LeaseFeedOptions {
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly replica: string;
  readonly leases: Leases;
}

export class LeaseFeed {
  readonly #options: LeaseFeedOptions;
  readonly #key: string;
  /** Of the other replicas: the version that was heard last, and when. */
  readonly #heard = new Map<string, { readonly version: string; readonly at: number }>();
  readonly #endWatch: () => void;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #writing = false;

  constructor(options: LeaseFeedOptions) {
    this.#options = options;
    this.#key = PREFIX + options.replica;
    this.#endWatch = options.store.watch(PREFIX, { records: (all) => this.#hear(all), failed: () => {} });
  }

  /** How often heartbeats are told, ms. */
  get intervalMs(): number {
    const part = this.#options.leases.shortestTtlMs / LEASE_PART;
    return Math.min(MAX_LEASE_MS, Math.max(MIN_LEASE_MS, part));
  }

  /** How old what the others have heard may be before it is known here, ms: two writes, of which one may fail, and a look of the store. */
  get slackMs(): number {
    return 2 * this.intervalMs + SWEEP_MS;
  }

  /** @param away the store does not answer: nothing is written to it */
  sweep(now: number, away: boolean): void {
    if (away || this.#writing) return;
    if (this.#options.leases.news && now - this.#writtenAt >= this.intervalMs) this.#write(now);
    for (const [key, { version, at }] of this.#heard)
      if (now - at > LEASE_LIFE_MS) {
        this.#heard.delete(key);
        this.#options.store.delete(key, { expected: version }).catch(() => {});
      }
  }

  close(): void {
    this.#endWatch();
  }

  #write(now: number): void {
    const { store, leases, log } = this.#options;
    this.#writing = true;
    this.#writtenAt = now;
    store
      .put(this.#key, leases.write(now))
      .catch((error: unknown) =>
        log("warn", "heartbeats could not be told to the other servers", { error: String(error) }),
      )
      .finally(() => {
        this.#writing = false;
      });
  }

  #hear(all: ReadonlyMap<string, StoredRecord>): void {
    const now = this.#options.clock.now();
    for (const [key, { value, version }] of all) {
      if (key === this.#key || this.#heard.get(key)?.version === version) continue;
      this.#heard.set(key, { version, at: now });
      // One that was there before is older than it says; that matters to nobody, because everybody's time has just begun here.
      this.#options.leases.read(value, now);
    }
    for (const key of this.#heard.keys()) if (!all.has(key)) this.#heard.delete(key);
  }
}
