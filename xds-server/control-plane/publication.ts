/** Snapshots of all node groups in the cache: published together or not at all, updated, and rolled back one by one. */
import { TypeUrl } from "../../protos/index.ts";
import {
  createSnapshot,
  danglingReferences,
  type Resource,
  type Snapshot,
  type SnapshotCache,
  typeSnapshot,
  updateSnapshot,
} from "../cache/index.ts";

export type RollbackResult =
  | { readonly ok: true; readonly version: string }
  | { readonly ok: false; readonly code: "TM_ROLLBACK_UNAVAILABLE"; readonly message: string };

export class Publication {
  readonly #cache: SnapshotCache;
  readonly #accepted = new Map<string, Snapshot>();
  readonly #rolledBack = new Set<string>();

  constructor(cache: SnapshotCache) {
    this.#cache = cache;
  }

  /**
   * What would be published for each group. Resources that are served already are the same objects.
   * @throws Error for two resources of one name, or one that names another that is not there
   */
  snapshots(resources: ReadonlyMap<string, readonly Resource[]>): ReadonlyMap<string, Snapshot> {
    const snapshots = new Map<string, Snapshot>();
    for (const [group, list] of resources) {
      const served = this.#cache.get(group);
      const snapshot = createSnapshot(list, served);
      const dangling = danglingReferences(snapshot, served).slice(0, 10);
      if (dangling.length > 0)
        throw new Error(`named and not there: ${dangling.map(({ from, to }) => `${from.name} -> ${to.name}`).join()}`);
      snapshots.set(group, snapshot);
    }
    return snapshots;
  }

  /** Publishes the snapshots, and forgets groups that are not among them. A new configuration ends what was rolled back. False when nothing changed. */
  publish(snapshots: ReadonlyMap<string, Snapshot>): boolean {
    this.#rolledBack.clear();
    let changed = false;
    for (const [group, snapshot] of snapshots) changed = this.#cache.set(group, snapshot) || changed;
    for (const group of this.#cache.groups().filter((each) => !snapshots.has(each))) {
      this.#cache.delete(group);
      this.#accepted.delete(group);
      changed = true;
    }
    return changed;
  }

  /** The same configuration with other endpoints: as {@link publish}, and what was rolled back stays so, with the endpoints. */
  refresh(snapshots: ReadonlyMap<string, Snapshot>, isCurrent: (cluster: string) => boolean): void {
    for (const [group, snapshot] of snapshots) {
      const served = this.#cache.get(group);
      if (served === undefined || !this.#rolledBack.has(group)) this.#cache.set(group, snapshot);
      else {
        this.#cache.set(group, updateSnapshot(served, currentEndpoints(served, snapshot, isCurrent)));
      }
    }
  }

  /** Puts resources that changed into all groups. One that was rolled back takes endpoints of the clusters that it has. O(changes) per group. */
  update(resources: readonly Resource[]): boolean {
    let changed = false;
    for (const group of this.#cache.groups()) {
      const served = this.#cache.get(group);
      if (served === undefined) continue;
      const put = this.#rolledBack.has(group) ? endpointsIn(served, resources) : resources;
      changed = this.#cache.set(group, updateSnapshot(served, put)) || changed;
    }
    return changed;
  }

  /** Every Envoy of the group has accepted all of this. */
  accepted(group: string, snapshot: Snapshot): void {
    if (this.#cache.get(group) !== undefined) this.#accepted.set(group, snapshot);
  }

  acceptedVersion(group: string): string | undefined {
    return this.#accepted.get(group)?.version;
  }

  isRolledBack(group: string): boolean {
    return this.#rolledBack.has(group);
  }

  /**
   * Publishes what the group accepted last, until the next configuration.
   * @param isCurrent whether the endpoints of a cluster stay as they are: what discovery says is true whatever the configuration
   */
  rollback(group: string, isCurrent: (cluster: string) => boolean): RollbackResult {
    const [served, accepted] = [this.#cache.get(group), this.#accepted.get(group)];
    if (served === undefined) return unavailable(`there is no node group ${group}`);
    if (accepted === undefined) return unavailable(`no snapshot was accepted by all Envoys of group ${group} yet`);
    const target = updateSnapshot(accepted, currentEndpoints(accepted, served, isCurrent));
    if (target.version === served.version) return unavailable(`group ${group} has accepted what is served`);
    this.#cache.set(group, target);
    this.#rolledBack.add(group);
    return { ok: true, version: target.version };
  }
}

function currentEndpoints(
  snapshot: Snapshot,
  current: Snapshot,
  isCurrent: (cluster: string) => boolean,
): readonly Resource[] {
  const { resources } = typeSnapshot(current, TypeUrl.endpoints);
  return endpointsIn(
    snapshot,
    [...resources.values()].filter(({ name }) => isCurrent(name)),
  );
}

function endpointsIn(snapshot: Snapshot, resources: readonly Resource[]): readonly Resource[] {
  const known = typeSnapshot(snapshot, TypeUrl.endpoints).resources;
  return resources.filter(({ typeUrl, name }) => typeUrl === TypeUrl.endpoints && known.has(name));
}

function unavailable(message: string): RollbackResult {
  return { ok: false, code: "TM_ROLLBACK_UNAVAILABLE", message };
}
