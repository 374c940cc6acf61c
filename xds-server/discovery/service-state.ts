/**
 * What is known of one service of one source, and what of it is passed on. Pure: time comes in as ms of one clock, nothing is started.
 *
 *   answer ─► pending ─(quiet)─► answered ─┐
 *   remembered ─(no answer for a while)────┴─► current = answered + those that have left and drain
 *   failed: nothing changes but the status
 */
import { byAddress, sameEndpoints } from "./endpoint.ts";
import type { DiscoveryError } from "./errors.ts";
import { DEBOUNCE_MAX_MS, DRAIN_LEAST_MS, MAX_DRAINING, REMEMBERED_AFTER_MS } from "./limits.ts";
import type { DiscoveredEndpoint } from "./source.ts";

/** Durations in ms. */
export interface ServiceTiming {
  readonly quiet: number;
  readonly drain: number;
}

/** Whether no request is under way at an endpoint that has left; false when nobody knows. */
export type IsIdle = (endpoint: DiscoveredEndpoint) => boolean;

interface Draining {
  readonly endpoint: DiscoveredEndpoint;
  readonly since: number;
}

interface Pending {
  readonly all: readonly DiscoveredEndpoint[];
  readonly first: number;
  readonly due: number;
}

interface Remembered {
  readonly all: readonly DiscoveredEndpoint[];
  /** When they were last confirmed, of the same clock. */
  readonly at: number;
}

/** `waiting`: nothing is known. `remembered`: by a former run of this server only. `failing`: as far as known; the source is down. */
export type ServiceCondition = "waiting" | "remembered" | "failing" | "current";

export class ServiceState {
  readonly #began: number;
  #timing: ServiceTiming;
  #answered: readonly DiscoveredEndpoint[] | undefined;
  #pending: Pending | undefined;
  #remembered: Remembered | undefined;
  #isRemembered = false;
  #draining = new Map<string, Draining>();
  #current: readonly DiscoveredEndpoint[] | undefined;
  #error: DiscoveryError | undefined;
  /** Since when nobody confirms what is passed on. */
  #unconfirmedSince: number | undefined;

  constructor(timing: ServiceTiming, now: number) {
    this.#timing = timing;
    this.#began = now;
    this.#unconfirmedSince = now;
  }

  /** All endpoints, those that drain included; undefined when nothing is known. The same object as long as nothing changes. */
  get current(): readonly DiscoveredEndpoint[] | undefined {
    return this.#current;
  }

  /** What the source said last, as far as it counts already. */
  get answered(): readonly DiscoveredEndpoint[] | undefined {
    return this.#isRemembered ? undefined : this.#answered;
  }

  /** Of the last attempt; undefined after a good one. */
  get error(): DiscoveryError | undefined {
    return this.#error;
  }

  get condition(): ServiceCondition {
    if (this.#current === undefined) return "waiting";
    if (this.#isRemembered) return "remembered";
    return this.#error === undefined ? "current" : "failing";
  }

  /** For how long nobody has confirmed what is passed on, from the beginning where nobody ever did, ms; 0 while the source does. */
  age(now: number): number {
    return this.#unconfirmedSince === undefined ? 0 : Math.max(0, now - this.#unconfirmedSince);
  }

  retime(timing: ServiceTiming): void {
    this.#timing = timing;
  }

  /** The source says what there is. */
  answer(all: readonly DiscoveredEndpoint[], now: number): void {
    this.#error = undefined;
    this.#unconfirmedSince = undefined;
    if (this.#answered === undefined || this.#isRemembered) this.#pending = { all, first: now, due: now };
    else if (sameEndpoints(all, this.#answered)) this.#pending = undefined;
    else if (this.#pending === undefined || !sameEndpoints(all, this.#pending.all)) {
      const first = this.#pending?.first ?? now;
      this.#pending = { all, first, due: Math.min(now + this.#timing.quiet, first + DEBOUNCE_MAX_MS) };
    }
  }

  /** The source does not say anything; what it said before stays. */
  failed(error: DiscoveryError, now: number): void {
    this.#error = error;
    this.#unconfirmedSince ??= now;
  }

  /** The source will be another one: until that has answered, nobody confirms what is known. */
  unconfirmed(now: number): void {
    this.#unconfirmedSince ??= now;
    this.#pending = undefined;
  }

  /** What a former run knew; without effect once the source has answered. `at` may be before the clock began. */
  remember(all: readonly DiscoveredEndpoint[], at: number): void {
    if (this.#answered === undefined && this.#pending === undefined) this.#remembered = { all, at };
  }

  /** Lets happen what is due; whether {@link current} has changed. */
  advance(now: number, isIdle: IsIdle): boolean {
    this.#useRemembered(now);
    if (this.#pending !== undefined && this.#pending.due <= now) {
      const { all } = this.#pending;
      this.#pending = undefined;
      this.#leave(all, now);
      this.#answered = all;
      this.#isRemembered = false;
      this.#remembered = undefined;
    }
    for (const [key, { endpoint, since }] of this.#draining) {
      const idle = now >= since + DRAIN_LEAST_MS && isIdle(endpoint);
      if (now >= since + this.#timing.drain || idle) this.#draining.delete(key);
    }
    if (this.#answered === undefined) return false;
    const next = [...this.#answered, ...[...this.#draining.values()].map(({ endpoint }) => endpoint)].sort(byAddress);
    if (this.#current !== undefined && sameEndpoints(this.#current, next)) return false;
    this.#current = next;
    return true;
  }

  /** When {@link advance} has something to do next; undefined when only an answer can change anything. */
  nextDeadline(): number | undefined {
    const times = [this.#pending?.due ?? Number.POSITIVE_INFINITY];
    if (this.#remembered !== undefined && this.#answered === undefined) times.push(this.#rememberedDue());
    return this.#drainDeadline(Math.min(...times));
  }

  #drainDeadline(time: number): number | undefined {
    let least = time;
    for (const { since } of this.#draining.values()) least = Math.min(least, since + this.#timing.drain);
    return Number.isFinite(least) ? least : undefined;
  }

  /** Whether something drains whose end load reports could bring forward. */
  get drains(): boolean {
    return this.#draining.size > 0;
  }

  #rememberedDue(): number {
    return this.#error === undefined ? this.#began + REMEMBERED_AFTER_MS : Number.NEGATIVE_INFINITY;
  }

  #useRemembered(now: number): void {
    if (this.#remembered === undefined || this.#answered !== undefined || this.#pending !== undefined) return;
    if (now < this.#rememberedDue()) return;
    this.#answered = this.#remembered.all;
    this.#isRemembered = true;
    this.#unconfirmedSince = this.#remembered.at;
  }

  /** Those of the last answer that are not in this one begin to drain, and those that came back end it. */
  #leave(all: readonly DiscoveredEndpoint[], now: number): void {
    const stays = new Set(all.map(keyOf));
    for (const endpoint of this.#answered ?? []) {
      const key = keyOf(endpoint);
      if (stays.has(key) || this.#draining.size >= MAX_DRAINING) continue;
      this.#draining.set(key, { endpoint: { ...endpoint, health: "draining" }, since: now });
    }
    for (const key of stays) this.#draining.delete(key);
  }
}

function keyOf({ address, port }: DiscoveredEndpoint): string {
  return `${address} ${port}`;
}
