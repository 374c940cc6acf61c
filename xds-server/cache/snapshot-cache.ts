/**
 * The current Snapshot of each node group, and who wants to know when it changes. The cache knows no gRPC and no protocol; a stream asks
 * for its group's snapshot once and is called on every change.
 */
import { consistent, danglingReferences, type Snapshot } from "./snapshot.ts";

/** What an Envoy says about itself in `DiscoveryRequest.node`. */
export interface NodeIdentity {
  readonly id: string;
  readonly cluster: string;
}

/** Chooses the group of a node; fixed for the life of a stream. */
export type NodeHash = (node: NodeIdentity) => string;

/** Every Envoy is in the same group. */
export const singleGroup: NodeHash = () => "default";

type Listener = (snapshot: Snapshot) => void;

export class SnapshotCache {
  readonly nodeHash: NodeHash;
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #listeners = new Map<string, Set<Listener>>();

  constructor(nodeHash: NodeHash = singleGroup) {
    this.nodeHash = nodeHash;
  }

  /** The group's snapshot; undefined until the first configuration was published. */
  get(group: string): Snapshot | undefined {
    return this.#snapshots.get(group);
  }

  /**
   * Publishes a snapshot. Returns false (and calls nobody) when it is what is already served.
   * @throws Error that names the dangling references of an inconsistent snapshot; the published one stays
   */
  set(group: string, snapshot: Snapshot): boolean {
    if (!consistent(snapshot)) {
      const list = danglingReferences(snapshot).map(({ from, to }) => `${from.name} -> ${to.name}`);
      throw new Error(`inconsistent snapshot: ${list.slice(0, 10).join(", ")}`);
    }
    if (this.#snapshots.get(group)?.version === snapshot.version) return false;
    this.#snapshots.set(group, snapshot);
    for (const listener of [...(this.#listeners.get(group) ?? [])]) listener(snapshot);
    return true;
  }

  /** Calls `listener` on every later change of the group, until the returned function is called. */
  watch(group: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(group) ?? new Set();
    this.#listeners.set(group, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(group);
    };
  }
}
