/** The parts of discovery requests and responses that the protocol state works with; the wire format is in server/. */
import type { TypeUrl } from "../../protos/index.ts";
import { deltaBytes, heartbeatBytes, missingBytes, type Resource } from "../cache/index.ts";

/** `google.rpc.Status` in a NACK. */
export interface ErrorDetail {
  readonly code: number;
  readonly message: string;
}

/** A request of the state-of-the-world variant. */
export interface DiscoveryRequest {
  readonly typeUrl: string;
  readonly versionInfo: string;
  /** Hand in the same array as before when the names are the same: an ACK repeats all of them, and then they are not looked at again. */
  readonly resourceNames: readonly string[];
  readonly responseNonce: string;
  /** Present in a NACK, and only there. */
  readonly errorDetail?: ErrorDetail;
}

/** A request of the incremental variant. */
export interface DeltaRequest {
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** What a client that reconnects still has: version by name. Counts in the first request of a type only. */
  readonly initialVersions: ReadonlyMap<string, string>;
  readonly responseNonce: string;
  /** Present in a NACK, and only there. */
  readonly errorDetail?: ErrorDetail;
}

/** A state-of-the-world response that is due; its resources are already encoded. */
export interface PlannedResponse {
  readonly typeUrl: TypeUrl;
  readonly version: string;
  readonly nonce: string;
  /** `sotwAny` encodes one. */
  readonly resources: readonly Resource[];
  /** What the client has already, only to begin their TTL again. */
  readonly heartbeats: readonly Resource[];
  /** Whether the client knows TTLs. */
  readonly ttl: boolean;
}

/** A resource, its heartbeat (no body), or the word that a name that was asked for does not exist (a name and no body). */
export type DeltaItem =
  | Resource
  | { readonly heartbeat: Resource }
  | { readonly missing: string; readonly aliases: readonly string[] };

/** An incremental response that is due; {@link deltaItemBytes} encodes its resources. */
export interface PlannedDelta {
  readonly typeUrl: TypeUrl;
  /** Version of the whole type, for people; the versions that count are those of the resources. */
  readonly systemVersion: string;
  readonly nonce: string;
  readonly resources: readonly DeltaItem[];
  readonly removed: readonly string[];
  /** Whether the client knows TTLs. */
  readonly ttl: boolean;
}

/** `envoy.service.discovery.v3.Resource` of an item; shared bytes, never written to. */
export function deltaItemBytes(item: DeltaItem, ttl: boolean): Uint8Array {
  if ("heartbeat" in item) return heartbeatBytes(item.heartbeat);
  if ("missing" in item) return missingBytes(item.missing, item.aliases);
  return deltaBytes(item, ttl);
}
