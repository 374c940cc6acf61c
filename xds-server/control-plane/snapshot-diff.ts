/** What changes from one snapshot to another, by name. */
import { PUSH_ORDER, type Snapshot, TYPE_NAMES, typeSnapshot } from "../cache/index.ts";

export interface TypeDiff {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** By short name of the type, types without a difference left out. */
export type SnapshotDiff = Readonly<Record<string, TypeDiff>>;

/** @param from undefined for nothing */
export function snapshotDiff(from: Snapshot | undefined, to: Snapshot | undefined): SnapshotDiff {
  const diff: Record<string, TypeDiff> = {};
  for (const typeUrl of PUSH_ORDER) {
    const before = from && typeSnapshot(from, typeUrl).resources;
    const after = to && typeSnapshot(to, typeUrl).resources;
    const added = [...(after?.keys() ?? [])].filter((name) => before?.has(name) !== true);
    const removed = [...(before?.keys() ?? [])].filter((name) => after?.has(name) !== true);
    const changed = [...(after?.values() ?? [])].filter(({ name, version }) => {
      const old = before?.get(name);
      return old !== undefined && old.version !== version;
    });
    if (added.length + removed.length + changed.length === 0) continue;
    diff[TYPE_NAMES[typeUrl]] = { added, changed: changed.map(({ name }) => name), removed };
  }
  return diff;
}
