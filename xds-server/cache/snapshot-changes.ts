/**
 * What is derived from snapshots once and shared by all streams: the difference of two, the list of all resources, who goes by an alias
 * or belongs to a collection. All of it is kept as long as the snapshots are, and no longer.
 */
import type { Resource } from "./resource.ts";
import { collectionOf } from "./resource-name.ts";
import type { TypeSnapshot } from "./snapshot.ts";

export interface TypeChanges {
  /** New and changed resources, as they are now. */
  readonly changed: readonly Resource[];
  /** Resources that are gone, as they were. */
  readonly removed: readonly Resource[];
}

// Keyed by the older one first: the newer must not keep it alive.
const known = new WeakMap<TypeSnapshot, WeakMap<TypeSnapshot, TypeChanges>>();

const NO_CHANGES: TypeChanges = { changed: [], removed: [] };

/** Keeps a difference that is known already. */
export function noteChanges(previous: TypeSnapshot, next: TypeSnapshot, changes: TypeChanges): void {
  const bySuccessor = known.get(previous) ?? new WeakMap<TypeSnapshot, TypeChanges>();
  known.set(previous, bySuccessor);
  bySuccessor.set(next, changes);
}

/** The difference of two states of a type. O(resources) the first time, O(1) for every further stream. */
export function typeChanges(previous: TypeSnapshot, next: TypeSnapshot): TypeChanges {
  if (previous === next || previous.version === next.version) return NO_CHANGES;
  const noted = known.get(previous)?.get(next);
  if (noted !== undefined) return noted;
  const changed: Resource[] = [];
  const removed: Resource[] = [];
  for (const [name, resource] of next.resources) {
    const old = previous.resources.get(name);
    if (old !== resource && old?.version !== resource.version) changed.push(resource);
  }
  for (const [name, old] of previous.resources) if (!next.resources.has(name)) removed.push(old);
  const changes = { changed, removed };
  noteChanges(previous, next, changes);
  return changes;
}

const lists = new WeakMap<TypeSnapshot, readonly Resource[]>();

/** All resources of a type; the same array every time, so that what is encoded from it can be kept with it. */
export function resourceList(type: TypeSnapshot): readonly Resource[] {
  let list = lists.get(type);
  if (list === undefined) {
    list = [...type.resources.values()];
    lists.set(type, list);
  }
  return list;
}

interface Index {
  readonly byAlias: ReadonlyMap<string, Resource>;
  readonly byCollection: ReadonlyMap<string, readonly Resource[]>;
}

const indexes = new WeakMap<TypeSnapshot, Index>();

function indexOf(type: TypeSnapshot): Index {
  let index = indexes.get(type);
  if (index === undefined) {
    const byAlias = new Map<string, Resource>();
    const byCollection = new Map<string, Resource[]>();
    for (const resource of type.resources.values()) {
      for (const alias of resource.aliases ?? []) byAlias.set(alias, resource);
      const collection = collectionOf(resource.name);
      if (collection === undefined) continue;
      const members = byCollection.get(collection) ?? [];
      byCollection.set(collection, members);
      members.push(resource);
    }
    index = { byAlias, byCollection };
    indexes.set(type, index);
  }
  return index;
}

/** The resource of this name or alias. */
export function resourceNamed(type: TypeSnapshot, name: string): Resource | undefined {
  return type.resources.get(name) ?? indexOf(type).byAlias.get(name);
}

/** The members of a glob collection. */
export function collectionMembers(type: TypeSnapshot, collection: string): readonly Resource[] {
  return indexOf(type).byCollection.get(collection) ?? [];
}
