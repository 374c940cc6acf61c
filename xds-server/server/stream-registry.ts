/** The connected Envoys and what each of them has: for the admin API, for `apply --wait`, for the snapshot that everybody accepted. */
import { type DynamicParameters, type NodeIdentity, type Snapshot, TYPE_NAMES } from "../cache/index.ts";
import type { Nack, WatchedResource } from "../stream/index.ts";
import { type EarlierNack, NackRegistry } from "./nack-registry.ts";

export type Watches = ReadonlyMap<string, Readonly<WatchedResource>>;

/**
 * `accepted`: the client has ACKed everything that the snapshot holds for it, nothing is due and nothing on its way. `nacked`: nothing is due or on its way,
 * and a rejection is open. `behind`: anything else.
 */
export type StreamState = "behind" | "accepted" | "nacked";

/** One open stream whose node is known. */
export interface ConnectedStream {
  readonly node: NodeIdentity;
  readonly group: string;
  /** `host:port`. */
  readonly peer: string;
  readonly spiffeId: string | undefined;
  readonly variant: "sotw" | "delta";
  /** ADS, or the short name of the one type that the stream is for. */
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly watches: Watches;
  /** What it is to have. */
  readonly snapshot: Snapshot;
  readonly state: StreamState;
  /** Since when it is behind, milliseconds since the epoch; undefined when it is not. */
  readonly behindSince: number | undefined;
}

export type StreamChange =
  | { readonly kind: "connected" | "disconnected" | "state"; readonly stream: ConnectedStream }
  | { readonly kind: "nack"; readonly stream: ConnectedStream; readonly nack: Nack };

interface GroupCount {
  streams: number;
  accepted: number;
}

export interface GroupState extends Readonly<GroupCount> {
  readonly behind: number;
  readonly nacked: number;
}

export class StreamRegistry implements Iterable<ConnectedStream> {
  readonly nacks = new NackRegistry();
  readonly #streams = new Map<ConnectedStream, StreamState>();
  readonly #counts = new Map<string, GroupCount>();
  readonly #watchers = new Set<(change: StreamChange) => void>();
  readonly #settled = new Set<(group: string, snapshot: Snapshot) => void>();

  get size(): number {
    return this.#streams.size;
  }

  [Symbol.iterator](): Iterator<ConnectedStream> {
    return this.#streams.keys();
  }

  /** Calls `watcher` on every change, until the returned function is called. */
  watch(watcher: (change: StreamChange) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Calls `settled` when every connected stream of a group (one at least) has accepted the group's snapshot. */
  onSettled(settled: (group: string, snapshot: Snapshot) => void): () => void {
    this.#settled.add(settled);
    return () => this.#settled.delete(settled);
  }

  groupState(group: string): GroupState {
    let nacked = 0;
    for (const [stream, state] of this.#streams) if (stream.group === group && state === "nacked") nacked++;
    const { streams, accepted } = this.#counts.get(group) ?? { streams: 0, accepted: 0 };
    return { streams, accepted, nacked, behind: streams - accepted - nacked };
  }

  /** @param now milliseconds since the epoch */
  add(stream: ConnectedStream, now: number): void {
    this.#streams.set(stream, "behind");
    this.#enter(stream.group);
    this.nacks.connected(stream.node.id, now);
    this.#tell({ kind: "connected", stream });
  }

  delete(stream: ConnectedStream, now: number): void {
    const state = this.#streams.get(stream);
    if (state === undefined) return;
    this.#streams.delete(stream);
    this.#leave(stream.group, state);
    this.nacks.disconnected(stream.node.id, now);
    this.#tell({ kind: "disconnected", stream });
    this.#checkSettled(stream.group);
  }

  /** The stream's `state` is another. */
  changed(stream: ConnectedStream): void {
    const before = this.#streams.get(stream);
    if (before === undefined || before === stream.state) return;
    this.#streams.set(stream, stream.state);
    const count = this.#counts.get(stream.group);
    if (count !== undefined) {
      if (before === "accepted") count.accepted--;
      if (stream.state === "accepted") count.accepted++;
    }
    this.#tell({ kind: "state", stream });
    if (stream.state === "accepted") this.#checkSettled(stream.group);
  }

  /** The stream, `behind` by that, is in another group than it was. */
  moved(stream: ConnectedStream, from: string): void {
    this.#leave(from, this.#streams.get(stream));
    this.#streams.set(stream, stream.state);
    this.#enter(stream.group);
    this.#tell({ kind: "state", stream });
    this.#checkSettled(from);
  }

  nacked(stream: ConnectedStream, nack: Nack): void {
    this.#tell({ kind: "nack", stream, nack });
  }

  #enter(group: string): void {
    const count = this.#counts.get(group) ?? { streams: 0, accepted: 0 };
    count.streams++;
    this.#counts.set(group, count);
  }

  #leave(group: string, state: StreamState | undefined): void {
    const count = this.#counts.get(group);
    if (count === undefined) return;
    count.streams--;
    if (state === "accepted") count.accepted--;
    if (count.streams === 0) this.#counts.delete(group);
  }

  #checkSettled(group: string): void {
    const count = this.#counts.get(group);
    if (count === undefined || count.accepted < count.streams) return;
    for (const stream of this.#streams.keys()) {
      if (stream.group !== group) continue;
      for (const settled of this.#settled) settled(group, stream.snapshot);
      return;
    }
  }

  #tell(change: StreamChange): void {
    for (const watcher of this.#watchers) watcher(change);
  }
}

/** The state of one Envoy as the admin API shows it. */
export interface NodeStatus {
  readonly id: string;
  readonly cluster: string;
  readonly locality: string;
  /** Absent when there are none. */
  readonly dynamicParameters?: DynamicParameters;
  readonly group: string;
  readonly peer: string;
  readonly spiffeId?: string;
  readonly variant: "sotw" | "delta";
  readonly service: string;
  readonly connectedSince: string;
  /** Version of the snapshot that it is to have. */
  readonly snapshot: string;
  readonly state: StreamState;
  /** True when it has accepted everything that the snapshot holds for it. */
  readonly settled: boolean;
  /** How long it has been behind, ms. */
  readonly behindMs?: number;
  readonly types: Readonly<Record<string, TypeStatus>>;
}

export interface TypeStatus {
  readonly state: "synced" | "sent" | "nacked" | "subscribed";
  readonly ackedVersion: string;
  readonly sentVersion: string;
  readonly subscribed: number | "*";
  readonly nack?: NackStatus;
}

export interface NackStatus {
  readonly version: string;
  readonly resources: readonly string[];
  readonly code: number;
  readonly message: string;
  readonly at: string;
}

/** One entry per stream: two streams with the same node id (a hot restart) are two entries. @param now milliseconds since the epoch */
export function nodeStatuses(registry: Iterable<ConnectedStream>, now = Date.now()): readonly NodeStatus[] {
  return [...registry].map((stream) => {
    const { node, group, peer, spiffeId, variant, service, since, watches, snapshot, state, behindSince } = stream;
    const { region, zone, subZone } = node.locality;
    return {
      id: node.id,
      cluster: node.cluster,
      locality: [region, zone, subZone].join("/").replace(/\/+$/, ""),
      ...(Object.keys(node.dynamicParameters).length === 0 ? {} : { dynamicParameters: node.dynamicParameters }),
      group,
      peer,
      ...(spiffeId === undefined ? {} : { spiffeId }),
      variant,
      service,
      connectedSince: new Date(since).toISOString(),
      snapshot: snapshot.version,
      state,
      settled: state === "accepted",
      ...(behindSince === undefined ? {} : { behindMs: Math.max(0, now - behindSince) }),
      types: Object.fromEntries([...watches.values()].map((watch) => [TYPE_NAMES[watch.typeUrl], typeStatus(watch)])),
    };
  });
}

/** A rejection of an Envoy that went away, or came back and has not answered since, as the admin API shows it. */
export interface EarlierRejection extends NackStatus {
  readonly node: string;
  readonly cluster: string;
  readonly group: string;
  readonly type: string;
  /** Absent while the Envoy is connected. */
  readonly awaySince?: string;
}

/** @param now milliseconds since the epoch */
export function earlierRejections(registry: StreamRegistry, now = Date.now()): readonly EarlierRejection[] {
  return registry.nacks.earlier(registry, now).map(({ at, awaySince, ...rest }: EarlierNack) => ({
    ...rest,
    at: new Date(at).toISOString(),
    ...(awaySince === undefined ? {} : { awaySince: new Date(awaySince).toISOString() }),
  }));
}

function typeStatus(watch: Readonly<WatchedResource>): TypeStatus {
  const { nack, inFlight, ackedVersion, subscription } = watch;
  const state =
    nack !== undefined ? "nacked" : inFlight !== undefined ? "sent" : ackedVersion !== "" ? "synced" : "subscribed";
  return {
    state,
    ackedVersion,
    sentVersion: inFlight?.version ?? nack?.version ?? ackedVersion,
    subscribed: subscription.wildcard ? "*" : subscription.names.size,
    ...(nack === undefined ? {} : { nack: nackStatus(nack) }),
  };
}

function nackStatus({ version, resources, code, message, at }: Nack): NackStatus {
  return { version, resources, code, message, at: new Date(at).toISOString() };
}

/** Unresolved rejections over all streams. */
export function openNacks(registry: Iterable<ConnectedStream>): number {
  let open = 0;
  for (const { watches } of registry) {
    for (const { nack } of watches.values()) if (nack !== undefined) open++;
  }
  return open;
}
