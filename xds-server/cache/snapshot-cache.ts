/**
 * The current Snapshot of each node group, and who wants to know when it changes. The cache knows no gRPC and no protocol; a stream asks
 * for its group's snapshot once and is called on every change.
 */
import type { TypeUrl } from "../../protos/index.ts";
import { danglingReferences } from "./consistency.ts";
import { type DynamicParameters, NO_DYNAMIC_PARAMETERS } from "./dynamic-parameters.ts";
import type { Snapshot } from "./snapshot.ts";

/** What an Envoy says about itself in `DiscoveryRequest.node`. */
export interface NodeIdentity {
  readonly id: string;
  readonly cluster: string;
  readonly locality: NodeLocality;
  /** `node.metadata` as JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** What the client can do, for example `xds.config.supports-resource-ttl`. */
  readonly clientFeatures: readonly string[];
  /** The one part that may change while a stream is open. */
  readonly dynamicParameters: DynamicParameters;
}

export interface NodeLocality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** A node that says nothing but this about itself. */
export function nodeIdentity(id: string, cluster: string, rest: Partial<NodeIdentity> = {}): NodeIdentity {
  const locality = { region: "", zone: "", subZone: "" };
  const dynamicParameters = NO_DYNAMIC_PARAMETERS;
  return { locality, metadata: {}, clientFeatures: [], dynamicParameters, ...rest, id, cluster };
}

/**
 * Chooses the group of a node. A stream keeps it as long as the node's dynamic parameters stay what they are.
 * @param onlyType of a stream that serves one type alone; then the dynamic parameters of this type count, which are the only ones that such a stream hears news of
 */
export type NodeHash = (node: NodeIdentity, onlyType?: TypeUrl) => string;

/** Every Envoy is in the same group. */
export const singleGroup: NodeHash = () => "default";

type Listener = (snapshot: Snapshot) => void;

export class SnapshotCache {
  /** May be replaced at any time; it decides for streams that begin later. */
  nodeHash: NodeHash;
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #listeners = new Map<string, Set<Listener>>();

  constructor(nodeHash: NodeHash = singleGroup) {
    this.nodeHash = nodeHash;
  }

  /** The groups that have a snapshot. */
  groups(): readonly string[] {
    return [...this.#snapshots.keys()];
  }

  /** The group's snapshot; undefined until the first configuration was published. */
  get(group: string): Snapshot | undefined {
    return this.#snapshots.get(group);
  }

  /**
   * Publishes a snapshot. Returns false (and calls nobody) when it is what is already served. O(changes) against the group's snapshot when it was
   * made from that and nothing was removed.
   * @throws Error that names the dangling references of an inconsistent snapshot; the published one stays
   */
  set(group: string, snapshot: Snapshot): boolean {
    const served = this.#snapshots.get(group);
    if (served?.version === snapshot.version) return false;
    const dangling = danglingReferences(snapshot, served);
    if (dangling.length > 0) {
      const list = dangling.slice(0, 10).map(({ from, to }) => `${from.name} -> ${to.name}`);
      throw new Error(`inconsistent snapshot: ${list.join(", ")}`);
    }
    this.#snapshots.set(group, snapshot);
    for (const listener of [...(this.#listeners.get(group) ?? [])]) listener(snapshot);
    return true;
  }

  /**
   * Forgets a group. New nodes of it are refused until it is published again; streams that are open keep what they were served, because to take
   * the configuration of a running Envoy away is never what is meant. Returns false when there was none.
   */
  delete(group: string): boolean {
    return this.#snapshots.delete(group);
  }

  /** Calls `listener` on every later change of the group, until the returned function is called. */
  watch(group: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(group) ?? new Set();
    this.#listeners.set(group, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(group) === listeners) this.#listeners.delete(group);
    };
  }
}
