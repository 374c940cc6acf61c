/** What all streams of a server share. */
import type { NodeIdentity, SnapshotCache } from "../cache/index.ts";
import type { Peer } from "../grpc/index.ts";
import type { Logger } from "../log.ts";
import type { Admission } from "./admission.ts";
import type { NameLists } from "./discovery-wire.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { PushQueue } from "./push-queue.ts";
import type { SharedBodies } from "./shared-bodies.ts";
import type { StreamRegistry } from "./stream-registry.ts";

/** Why this peer may not be served as a node of this group; undefined when it may. */
export type Authorize = (peer: Peer, node: NodeIdentity, group: string) => string | undefined;

export interface StreamContext {
  readonly cache: SnapshotCache;
  readonly registry: StreamRegistry;
  readonly metrics: ServerMetrics;
  readonly log: Logger;
  readonly admission: Admission;
  readonly queue: PushQueue;
  readonly bodies: SharedBodies;
  readonly names: NameLists;
  readonly authorize: Authorize;
  readonly maxStreams: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Monotonic, ms. */
  readonly clock: () => number;
}
