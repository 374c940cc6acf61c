/** The connected Envoys and what each of them has, for the admin API. */
import { type NodeIdentity, TYPE_NAMES } from "../cache/index.ts";
import type { Nack, SotwSession } from "../stream/index.ts";

/** One open stream whose node is known. */
export interface ConnectedStream {
  readonly node: NodeIdentity;
  readonly group: string;
  readonly peer: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly session: SotwSession;
}

export type StreamRegistry = Set<ConnectedStream>;

/** The state of one Envoy as the admin API shows it. */
export interface NodeStatus {
  readonly id: string;
  readonly cluster: string;
  readonly group: string;
  readonly peer: string;
  readonly connectedSince: string;
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

/** One entry per stream: two streams with the same node id (a hot restart) are two entries. */
export function nodeStatuses(registry: StreamRegistry): readonly NodeStatus[] {
  return [...registry].map(({ node, group, peer, since, session }) => ({
    id: node.id,
    cluster: node.cluster,
    group,
    peer,
    connectedSince: new Date(since).toISOString(),
    types: Object.fromEntries(
      [...session.watches.values()].map((watch) => [TYPE_NAMES[watch.typeUrl], typeStatus(watch)]),
    ),
  }));
}

type Watch = SotwSession["watches"] extends ReadonlyMap<string, infer W> ? W : never;

function typeStatus(watch: Watch): TypeStatus {
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
export function openNacks(registry: StreamRegistry): number {
  let open = 0;
  for (const { session } of registry) {
    for (const { nack } of session.watches.values()) if (nack !== undefined) open++;
  }
  return open;
}
