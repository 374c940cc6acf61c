/**
 * How long each instance is believed in. Pure: the time comes in.
 *
 * Heartbeats are kept in memory by the replica that gets them, which tells the others now and then how old they were when it wrote that down. An age says the same on
 * every machine, however its clock is set; the time for which it travels only lengthens a life.
 */
import { createHash } from "node:crypto";

/** Characters of an instance's name in a record of leases: 48 bits. Two with the same name would lengthen each other's life. */
const NAME_LENGTH = 8;

interface Lease {
  /** In records of leases. */
  readonly name: string;
  ttlMs: number;
  /** Of the last heartbeat, wherever it came, ms of the clock. */
  at: number;
  /** Of the last that came here. */
  hereAt: number;
}

export class Leases {
  readonly #leases = new Map<string, Lease>();
  readonly #keys = new Map<string, string>();
  /** Nobody is judged by what was before: this replica did not hear it. */
  #countFrom = 0;
  /** The shortest time to live; undefined when it has to be looked for. */
  #shortest: number | undefined;
  /** There are heartbeats that the others were not told of. */
  #news = false;

  get size(): number {
    return this.#leases.size;
  }

  get news(): boolean {
    return this.#news;
  }

  /** An instance is there, or was changed: that counts as a heartbeat. */
  begin(key: string, ttlMs: number, now: number): void {
    this.#shortest = undefined;
    const lease = this.#leases.get(key);
    if (lease !== undefined) {
      lease.ttlMs = ttlMs;
      lease.at = now;
      return;
    }
    const name = createHash("sha256").update(key).digest("base64url").slice(0, NAME_LENGTH);
    this.#leases.set(key, { name, ttlMs, at: now, hereAt: Number.NEGATIVE_INFINITY });
    this.#keys.set(name, key);
  }

  end(key: string): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    this.#shortest = undefined;
    this.#leases.delete(key);
    if (this.#keys.get(lease.name) === key) this.#keys.delete(lease.name);
  }

  /** A heartbeat came here. */
  beat(key: string, now: number): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    lease.at = now;
    lease.hereAt = now;
    this.#news = true;
  }

  /** Everybody gets the whole of his time from now on: heartbeats may have been lost. */
  grace(now: number): void {
    this.#countFrom = now;
  }

  /** When it ends without another heartbeat, ms of the clock; undefined for one that is not there. */
  endsAt(key: string, slackMs: number): number | undefined {
    const lease = this.#leases.get(key);
    return lease && Math.max(lease.at, this.#countFrom) + lease.ttlMs + slackMs;
  }

  /** Those whose time is over, the longest overdue first. @param slackMs for what the others have heard and not told yet */
  overdue(now: number, slackMs: number): readonly string[] {
    const ended: [string, number][] = [];
    for (const key of this.#leases.keys()) {
      const at = this.endsAt(key, slackMs) ?? Number.POSITIVE_INFINITY;
      if (at <= now) ended.push([key, at]);
    }
    return ended.sort(([, a], [, b]) => a - b).map(([key]) => key);
  }

  /** The shortest time to live, ms; infinite without instances. */
  get shortestTtlMs(): number {
    if (this.#shortest === undefined) {
      this.#shortest = Number.POSITIVE_INFINITY;
      for (const { ttlMs } of this.#leases.values()) this.#shortest = Math.min(this.#shortest, ttlMs);
    }
    return this.#shortest;
  }

  /** For the others: what came here and still counts, each with its age. */
  write(now: number): string {
    this.#news = false;
    const ages: Record<string, number> = {};
    for (const { name, hereAt, ttlMs } of this.#leases.values()) {
      const age = now - hereAt;
      if (age <= ttlMs) ages[name] = Math.round(age);
    }
    return JSON.stringify({ at: Math.round(now), ages });
  }

  /** What another replica has written just now. Whatever it is: a life is lengthened to one time to live from now at most. */
  read(text: string, now: number): void {
    for (const [name, age] of Object.entries(agesOf(text))) {
      const lease = this.#leases.get(this.#keys.get(name) ?? "");
      if (lease !== undefined && typeof age === "number" && age >= 0) lease.at = Math.max(lease.at, now - age);
    }
  }
}

function agesOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const { ages } = JSON.parse(text) as { ages?: unknown };
    return typeof ages === "object" && ages !== null ? (ages as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
