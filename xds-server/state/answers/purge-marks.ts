/** The newest purge of each target, for the store in memory. purges.lua does the same in Redis. */
import { KEY_MARK_LIFE_MS, MARK_LIFE_MS, MAX_MARKS } from "./limits.ts";
import { PurgeKind, type PurgeTarget } from "./purge.ts";
import type { EntryAddress } from "./store.ts";

const PREFIX = { [PurgeKind.key]: "k", [PurgeKind.model]: "m", [PurgeKind.tenant]: "t", [PurgeKind.all]: "all" };

/** Name of a target's mark. */
export const markOf = ({ kind, hash }: PurgeTarget): string => PREFIX[kind] + hash;

/** Names of the marks that an entry has to be newer than. */
export const marksFor = ({ key, tenant, model }: EntryAddress): readonly [string, string, string, string] => [
  "all",
  `k${key}`,
  `m${model}`,
  `t${tenant}`,
];

export class PurgeMarks {
  readonly #at = new Map<string, number>();

  /** O(1), but for one in thousands that tidies up. @param at ms */
  add(target: PurgeTarget, at: number): void {
    const name = markOf(target);
    this.#at.set(name, Math.max(at, this.#at.get(name) ?? at));
    if (this.#at.size > MAX_MARKS) this.#tidy(at);
  }

  /** Time of the newest purge that concerns the address, ms; -1 without one. */
  newest(address: EntryAddress): number {
    return Math.max(...marksFor(address).map((name) => this.#at.get(name) ?? -1));
  }

  /** Forgets what cannot concern an entry any more. If that is too little, all marks become one purge of everything. */
  #tidy(now: number): void {
    let newest = -1;
    for (const [name, at] of this.#at) {
      const life = name.startsWith("k") ? KEY_MARK_LIFE_MS : MARK_LIFE_MS;
      if (at + life < now) this.#at.delete(name);
      else newest = Math.max(newest, at);
    }
    if (this.#at.size <= MAX_MARKS / 2) return;
    this.#at.clear();
    this.#at.set("all", newest);
  }
}
