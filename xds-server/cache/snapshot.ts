/**
 * Everything one group of Envoys is served at one moment; never changed after it was made. A new configuration is a new Snapshot that
 * shares the unchanged Resource objects of the old one.
 */
import type { TypeUrl } from "../../protos/index.ts";
import { contentHash, type Reference, type Resource } from "./resource.ts";
import { canonicalName } from "./resource-name.ts";
import { noteChanges, type TypeChanges } from "./snapshot-changes.ts";
import { PUSH_ORDER } from "./type-order.ts";

export type ResourceMap = ReadonlyMap<string, Resource>;

export interface Snapshot {
  /** Hash over all types: equal snapshots have equal versions on every replica. */
  readonly version: string;
  readonly types: ReadonlyMap<TypeUrl, TypeSnapshot>;
}

/** All resources of one type, sorted by name. */
export interface TypeSnapshot {
  readonly version: string;
  readonly resources: ResourceMap;
}

const NOTHING: TypeSnapshot = { version: contentHash(""), resources: new Map() };

/**
 * Builds a snapshot. Resources that `previous` holds in the same version are taken over from it, so that their bytes exist once.
 * @throws Error when two resources of a type have a name or an alias in common
 */
export function createSnapshot(resources: Iterable<Resource>, previous?: Snapshot): Snapshot {
  const byType = new Map<TypeUrl, Resource[]>(PUSH_ORDER.map((typeUrl) => [typeUrl, []]));
  for (const resource of resources) byType.get(resource.typeUrl)?.push(resource);
  const types = new Map<TypeUrl, TypeSnapshot>();
  for (const [typeUrl, list] of byType) {
    const before = previous?.types.get(typeUrl);
    const next = createTypeSnapshot(list, before);
    types.set(typeUrl, next.version === before?.version ? before : next);
  }
  return snapshotOf(types);
}

/**
 * The snapshot after some resources were put and some removed. Its version is that of {@link createSnapshot} with the same resources, but only
 * what changed is hashed: O(changes), and for every type that changed one copy of its map.
 * @throws Error when two resources of a type have an alias in common
 */
export function updateSnapshot(
  previous: Snapshot,
  put: Iterable<Resource>,
  remove: Iterable<Reference> = [],
): Snapshot {
  const puts = new Map<TypeUrl, Map<string, Resource | undefined>>();
  const editsOf = (typeUrl: TypeUrl) => {
    const edits = puts.get(typeUrl) ?? new Map<string, Resource | undefined>();
    puts.set(typeUrl, edits);
    return edits;
  };
  for (const { typeUrl, name } of remove) editsOf(typeUrl).set(canonicalName(name), undefined);
  for (const resource of put) editsOf(resource.typeUrl).set(resource.name, resource);
  const types = new Map(previous.types);
  for (const [typeUrl, edits] of puts) types.set(typeUrl, updateType(typeSnapshot(previous, typeUrl), edits));
  return snapshotOf(types);
}

function snapshotOf(types: ReadonlyMap<TypeUrl, TypeSnapshot>): Snapshot {
  return { version: contentHash(PUSH_ORDER.map((typeUrl) => types.get(typeUrl)?.version ?? "").join()), types };
}

function updateType(before: TypeSnapshot, edits: ReadonlyMap<string, Resource | undefined>): TypeSnapshot {
  const changed: Resource[] = [];
  const removed: Resource[] = [];
  let sum = sumOf(before);
  let added = false;
  for (const [name, resource] of edits) {
    const old = before.resources.get(name);
    if (old?.version === resource?.version) continue;
    if (old !== undefined) sum -= digestOf(old);
    if (resource === undefined) {
      if (old !== undefined) removed.push(old);
      continue;
    }
    sum += digestOf(resource);
    changed.push(resource);
    added ||= old === undefined;
  }
  if (changed.length === 0 && removed.length === 0) return before;
  const aliased = isAliased(before) || changed.some(hasAliases);
  const resources = new Map(before.resources);
  for (const { name } of removed) resources.delete(name);
  for (const resource of changed) resources.set(resource.name, resource);
  const sorted = added ? new Map([...resources].sort(([a], [b]) => byteOrder(a, b))) : resources;
  const next = typeOf(sorted, sum, aliased);
  noteChanges(before, next, { changed, removed } satisfies TypeChanges);
  return next;
}

function createTypeSnapshot(list: Resource[], previous: TypeSnapshot | undefined): TypeSnapshot {
  list.sort((a, b) => byteOrder(a.name, b.name));
  const resources = new Map<string, Resource>();
  let sum = 0n;
  for (const resource of list) {
    if (resources.has(resource.name))
      throw new Error(`two resources of ${resource.typeUrl} are named ${resource.name}`);
    const old = previous?.resources.get(resource.name);
    const kept = old?.version === resource.version ? old : resource;
    resources.set(resource.name, kept);
    sum += digestOf(kept);
  }
  return typeOf(resources, sum, list.some(hasAliases));
}

/** Not locale order: the same on every machine. */
function byteOrder(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * The version of a type is a hash of the sum of its resources' digests: the order of the resources does not matter, and a change needs the
 * digests of what changed only.
 */
function typeOf(resources: ResourceMap, sum: bigint, aliased: boolean): TypeSnapshot {
  if (aliased) checkAliases(resources);
  const type = { version: contentHash(resources.size === 0 ? "" : BigInt.asUintN(64, sum).toString(16)), resources };
  sums.set(type, sum);
  if (aliased) withAliases.add(type);
  return type;
}

/** Types in which a resource has, or had, an alias: only there a change can give a name to two. */
const withAliases = new WeakSet<TypeSnapshot>();

function isAliased(type: TypeSnapshot): boolean {
  return withAliases.has(type);
}

function hasAliases({ aliases }: Resource): boolean {
  return aliases !== undefined;
}

const sums = new WeakMap<TypeSnapshot, bigint>();

function sumOf(type: TypeSnapshot): bigint {
  let sum = sums.get(type);
  if (sum === undefined) {
    sum = 0n;
    for (const resource of type.resources.values()) sum += digestOf(resource);
    sums.set(type, sum);
  }
  return sum;
}

const digests = new WeakMap<Resource, bigint>();

function digestOf(resource: Resource): bigint {
  let digest = digests.get(resource);
  if (digest === undefined) {
    digest = BigInt(`0x${contentHash(`${resource.name}\0${resource.version}`)}`);
    digests.set(resource, digest);
  }
  return digest;
}

/** A name must lead to one resource. */
function checkAliases(resources: ResourceMap): void {
  const owners = new Map<string, string>();
  for (const { name, typeUrl, aliases } of resources.values()) {
    for (const alias of aliases ?? []) {
      const owner = resources.has(alias) && alias !== name ? alias : (owners.get(alias) ?? name);
      if (owner !== name) throw new Error(`two resources of ${typeUrl} are named ${alias}: ${owner} and ${name}`);
      owners.set(alias, name);
    }
  }
}

/** The resources of one type; an empty set for a type that the snapshot does not have. */
export function typeSnapshot(snapshot: Snapshot, typeUrl: TypeUrl): TypeSnapshot {
  return snapshot.types.get(typeUrl) ?? NOTHING;
}
