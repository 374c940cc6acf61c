/**
 * What a server that knows records does when Redis has lost them. Pure.
 *
 * Several do it, and not all know the same: one that was cut off before the loss has neither heard of the last changes nor of what was deleted. Versions say which of two
 * is the newer (epoch.lua), so the records become what the one that knew most knows, in whatever order the servers come, and changes since the loss stay.
 */
import type { StoredRecord } from "./store.ts";

/** A change, by its place in the order of all changes; what is no version of ours is before all. */
export interface Place {
  readonly generation: number;
  readonly change: number;
}

export function placeOf(version: string): Place {
  const [, generation = "0", change = "0"] = /^(\d{1,15})\.(\d{1,15})\./.exec(version) ?? [];
  return { generation: Number(generation), change: Number(change) };
}

/** Whether one change was made after another. */
export const isAfter = (one: Place, other: Place): boolean =>
  one.generation === other.generation ? one.change > other.change : one.generation > other.generation;

/** What is known below one prefix. */
export interface Knowledge {
  readonly prefix: string;
  readonly records: ReadonlyMap<string, StoredRecord>;
}

export type Step =
  /** There is nothing under this key. */
  | { readonly do: "put back"; readonly key: string; readonly record: StoredRecord; readonly prefix: string }
  /** Somebody has put back `stale`, who did not know what came after it: `record`, or undefined for its deletion. */
  | { readonly do: "renew"; readonly key: string; readonly record: StoredRecord | undefined; readonly stale: string };

/**
 * @param last version of the last change that is known
 * @param versions by key, of what there is now
 */
export function restoration(
  known: readonly Knowledge[],
  last: string,
  versions: ReadonlyMap<string, string>,
): readonly Step[] {
  const upTo = placeOf(last);
  // Of other records than these nothing is known here, even if they look older: it may be another Redis.
  const generations = new Set([upTo.generation]);
  for (const { records } of known)
    for (const { version } of records.values()) generations.add(placeOf(version).generation);
  const steps = new Map<string, Step>();
  for (const { prefix, records } of known) {
    for (const [key, record] of records) {
      const stale = versions.get(key);
      if (stale === undefined) steps.set(key, { do: "put back", key, record, prefix });
      else if (generations.has(placeOf(stale).generation) && isAfter(placeOf(record.version), placeOf(stale)))
        steps.set(key, { do: "renew", key, record, stale });
    }
    for (const [key, stale] of versions) {
      const place = placeOf(stale);
      if (!key.startsWith(prefix) || records.has(key) || !generations.has(place.generation)) continue;
      if (!isAfter(place, upTo)) steps.set(key, { do: "renew", key, record: undefined, stale });
    }
  }
  return [...steps.values()];
}
