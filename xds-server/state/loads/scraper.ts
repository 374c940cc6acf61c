/**
 * Keeps the loads of endpoints fresh while somebody asks for them. Each endpoint is asked again an interval after it was asked before, so one that is slow is asked
 * less often, and nobody waits: who asks gets what is known at that moment, with its age.
 */
import type { EngineLoad } from "./engine-load.ts";
import { ASKED_MS, JITTER, KNOWN_MS, MAX_SCRAPES } from "./limits.ts";
import type { Scrape, ScrapeFault, ScrapeResult } from "./scrape.ts";

export interface LoadsPool {
  readonly addresses: readonly string[];
  readonly intervalMs: number;
}

export interface EndpointState {
  readonly address: string;
  /** Of what is known; undefined when nothing is, or when it is too old to say anything. */
  readonly load: EngineLoad | undefined;
  /** Since the engine was asked for it, ms; undefined when it never answered. */
  readonly ageMs: number | undefined;
  /** Of the last scrape; undefined after a good one. */
  readonly fault: { readonly reason: ScrapeFault; readonly message: string } | undefined;
}

export interface ScraperOptions {
  readonly scrape: Scrape;
  /** Monotonic ms. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  /** Told the end of each scrape, and how long it took, ms. */
  readonly onScrape: (result: "ok" | ScrapeFault, ms: number) => void;
}

interface Watched {
  readonly address: string;
  intervalMs: number;
  /** When somebody last asked for it. */
  askedAt: number;
  timer: NodeJS.Timeout | undefined;
  /** From the moment it is due: in the queue, or under way. */
  busy: boolean;
  load: EngineLoad | undefined;
  /** When the engine was asked for `load`. */
  at: number;
  fault: EndpointState["fault"];
}

export class LoadsScraper {
  readonly #options: ScraperOptions;
  readonly #endpoints = new Map<string, Watched>();
  readonly #queue: Watched[] = [];
  #pools: ReadonlyMap<string, LoadsPool> = new Map();
  #running = 0;
  #closed = false;

  constructor(options: ScraperOptions) {
    this.#options = options;
  }

  /** Scrapes under way. */
  get running(): number {
    return this.#running;
  }

  get pools(): ReadonlyMap<string, LoadsPool> {
    return this.#pools;
  }

  /** From now on these. What is known of endpoints that stay is kept. */
  configure(pools: ReadonlyMap<string, LoadsPool>): void {
    this.#pools = pools;
    const intervals = new Map<string, number>();
    for (const { addresses, intervalMs } of pools.values()) {
      for (const address of addresses)
        intervals.set(address, Math.min(intervalMs, intervals.get(address) ?? Number.POSITIVE_INFINITY));
    }
    for (const [address, watched] of this.#endpoints) {
      const intervalMs = intervals.get(address);
      if (intervalMs === undefined) this.#drop(watched);
      else watched.intervalMs = intervalMs;
    }
    for (const [address, intervalMs] of intervals) {
      if (this.#endpoints.has(address)) continue;
      const fresh = { timer: undefined, busy: false, load: undefined, at: 0, fault: undefined };
      this.#endpoints.set(address, { address, intervalMs, askedAt: Number.NEGATIVE_INFINITY, ...fresh });
    }
  }

  /** What is known of a pool's endpoints, in its order; keeps them fresh for the next seconds. undefined for a pool that there is not. */
  ask(pool: string): readonly EndpointState[] | undefined {
    const now = this.#options.now();
    const found = this.#pools.get(pool);
    if (found === undefined) return undefined;
    return found.addresses.map((address) => {
      const watched = this.#endpoints.get(address) as Watched;
      watched.askedAt = now;
      if (watched.timer === undefined && !watched.busy) this.#enqueue(watched);
      return stateOf(watched, now);
    });
  }

  /** As {@link ask}, without keeping anything fresh. */
  look(pool: string): readonly EndpointState[] {
    const now = this.#options.now();
    const addresses = this.#pools.get(pool)?.addresses ?? [];
    return addresses.map((address) => stateOf(this.#endpoints.get(address) as Watched, now));
  }

  /** Starts no more scrapes. */
  close(): void {
    this.#closed = true;
    for (const watched of this.#endpoints.values()) this.#drop(watched);
  }

  #drop(watched: Watched): void {
    clearTimeout(watched.timer);
    this.#endpoints.delete(watched.address);
  }

  #enqueue(watched: Watched): void {
    watched.timer = undefined;
    watched.busy = true;
    this.#queue.push(watched);
    this.#next();
  }

  #next(): void {
    while (this.#running < MAX_SCRAPES) {
      const watched = this.#queue.shift();
      if (watched === undefined) return;
      if (this.#closed || this.#endpoints.get(watched.address) !== watched) continue;
      this.#running++;
      void this.#scrape(watched);
    }
  }

  async #scrape(watched: Watched): Promise<void> {
    const { scrape, now, onScrape } = this.#options;
    const began = now();
    const result = await scrape(watched.address);
    this.#running--;
    watched.busy = false;
    onScrape("load" in result ? "ok" : result.fault, now() - began);
    take(watched, result, began);
    if (!this.#closed && this.#endpoints.get(watched.address) === watched) this.#schedule(watched, began);
    this.#next();
  }

  #schedule(watched: Watched, began: number): void {
    const { now, random } = this.#options;
    if (now() - watched.askedAt > ASKED_MS) return;
    const interval = watched.intervalMs * (1 + JITTER * (random() - 0.5));
    const delay = Math.max(1, began + interval - now());
    watched.timer = setTimeout(() => this.#enqueue(watched), delay);
    watched.timer.unref();
  }
}

/** A failed scrape says nothing of the load: what was known stays, and gets older. */
function take(watched: Watched, result: ScrapeResult, began: number): void {
  if ("load" in result) {
    watched.load = result.load;
    watched.at = began;
    watched.fault = undefined;
  } else watched.fault = { reason: result.fault, message: result.message };
}

function stateOf({ address, load, at, fault }: Watched, now: number): EndpointState {
  const ageMs = load === undefined ? undefined : Math.max(0, Math.round(now - at));
  return { address, load: ageMs !== undefined && ageMs <= KNOWN_MS ? load : undefined, ageMs, fault };
}
