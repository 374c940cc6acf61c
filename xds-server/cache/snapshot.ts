/**
 * Everything one group of Envoys is served at one moment; never changed after it was made. A new configuration is a new Snapshot that
 * shares the unchanged Resource objects of the old one.
 */
import type { TypeUrl } from "../../protos/index.ts";
import { contentHash, type Reference, type Resource } from "./resource.ts";
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
 * @throws Error when two resources of a type have the same name
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
  return { version: contentHash([...types.values()].map((type) => type.version).join()), types };
}

function createTypeSnapshot(list: Resource[], previous: TypeSnapshot | undefined): TypeSnapshot {
  // Byte order, not locale order: the same on every machine.
  list.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const resources = new Map<string, Resource>();
  for (const resource of list) {
    if (resources.has(resource.name))
      throw new Error(`two resources of ${resource.typeUrl} are named ${resource.name}`);
    const old = previous?.resources.get(resource.name);
    resources.set(resource.name, old?.version === resource.version ? old : resource);
  }
  const version = contentHash([...resources.values()].map((each) => `${each.name}\0${each.version}\n`).join(""));
  return { version, resources };
}

/** The resources of one type; an empty set for a type that the snapshot does not have. */
export function typeSnapshot(snapshot: Snapshot, typeUrl: TypeUrl): TypeSnapshot {
  return snapshot.types.get(typeUrl) ?? NOTHING;
}

/** A reference to something that the snapshot does not hold. */
export interface DanglingReference {
  readonly from: Resource;
  readonly to: Reference;
}

/** Every reference that leads nowhere; empty for a snapshot that may be published. Resources that nobody names are fine. */
export function danglingReferences(snapshot: Snapshot): readonly DanglingReference[] {
  const dangling: DanglingReference[] = [];
  for (const { resources } of snapshot.types.values()) {
    for (const from of resources.values()) {
      for (const to of from.references) {
        if (!typeSnapshot(snapshot, to.typeUrl).resources.has(to.name)) dangling.push({ from, to });
      }
    }
  }
  return dangling;
}

/** True when nothing in the snapshot refers to something that is not in it. */
export function consistent(snapshot: Snapshot): boolean {
  return danglingReferences(snapshot).length === 0;
}
