/** A snapshot may be published only when everything that its resources name is in it. */
import type { Reference, Resource } from "./resource.ts";
import { type Snapshot, typeSnapshot } from "./snapshot.ts";
import { typeChanges } from "./snapshot-changes.ts";

/** A reference to something that the snapshot does not hold. */
export interface DanglingReference {
  readonly from: Resource;
  readonly to: Reference;
}

/**
 * Every reference that leads nowhere; empty for a snapshot that may be published. Resources that nobody names are fine.
 * @param previous a snapshot known to have none: as long as nothing was removed since, only what changed is looked at
 */
export function danglingReferences(snapshot: Snapshot, previous?: Snapshot): readonly DanglingReference[] {
  const suspects = previous === undefined ? undefined : changedOnly(snapshot, previous);
  return suspects === undefined ? danglingOf(snapshot, all(snapshot)) : danglingOf(snapshot, suspects);
}

/** True when nothing in the snapshot refers to something that is not in it. */
export function consistent(snapshot: Snapshot, previous?: Snapshot): boolean {
  return danglingReferences(snapshot, previous).length === 0;
}

function danglingOf(snapshot: Snapshot, suspects: Iterable<Resource>): readonly DanglingReference[] {
  const dangling: DanglingReference[] = [];
  for (const from of suspects) {
    for (const to of from.references) {
      if (!typeSnapshot(snapshot, to.typeUrl).resources.has(to.name)) dangling.push({ from, to });
    }
  }
  return dangling;
}

function* all(snapshot: Snapshot): Iterable<Resource> {
  for (const { resources } of snapshot.types.values()) yield* resources.values();
}

/** The resources that changed; undefined when one was removed, which anything may have named. */
function changedOnly(snapshot: Snapshot, previous: Snapshot): readonly Resource[] | undefined {
  const suspects: Resource[] = [];
  for (const typeUrl of new Set([...snapshot.types.keys(), ...previous.types.keys()])) {
    const { changed, removed } = typeChanges(typeSnapshot(previous, typeUrl), typeSnapshot(snapshot, typeUrl));
    if (removed.length > 0) return undefined;
    suspects.push(...changed);
  }
  return suspects;
}
