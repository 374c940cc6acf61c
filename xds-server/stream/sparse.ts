/**
 * Maps and sets that are empty most of the time. Each of thousands of streams has some thirty of them, and an empty Map takes 180 bytes: so all that are empty are one that is shared, and
 * a field gets one of its own when something comes into it, until that goes.
 *
 * Each function takes the value of a field and returns what the field holds from then on; the value that was handed in is not to be used again.
 */

const NO_ENTRIES = new Map<unknown, unknown>();
const NO_MEMBERS = new Set<unknown>();

export function emptyMap<Key, Value>(): ReadonlyMap<Key, Value> {
  return NO_ENTRIES as ReadonlyMap<Key, Value>;
}

export function emptySet<Member>(): ReadonlySet<Member> {
  return NO_MEMBERS as ReadonlySet<Member>;
}

export function withEntry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value): ReadonlyMap<Key, Value> {
  return (map === NO_ENTRIES ? new Map<Key, Value>() : (map as Map<Key, Value>)).set(key, value);
}

/** Entries may be taken out while the map is gone through. */
export function withoutEntry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): ReadonlyMap<Key, Value> {
  (map as Map<Key, Value>).delete(key);
  return map.size === 0 ? emptyMap() : map;
}

export function withMember<Member>(set: ReadonlySet<Member>, member: Member): ReadonlySet<Member> {
  return (set === NO_MEMBERS ? new Set<Member>() : (set as Set<Member>)).add(member);
}

/** Members may be taken out while the set is gone through. */
export function withoutMember<Member>(set: ReadonlySet<Member>, member: Member): ReadonlySet<Member> {
  (set as Set<Member>).delete(member);
  return set.size === 0 ? emptySet() : set;
}
