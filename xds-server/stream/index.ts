/** Protocol state of a stream: pure, no gRPC. */
export { DeltaSession } from "./delta-session.ts";
export {
  type DeltaItem,
  type DeltaRequest,
  type DiscoveryRequest,
  deltaItemBytes,
  type ErrorDetail,
  type PlannedDelta,
  type PlannedResponse,
} from "./discovery.ts";
export { supportsTtl } from "./heartbeats.ts";
export { MAX_REQUEST_BYTES, MAX_RESOURCE_NAMES } from "./limits.ts";
export type { Nack } from "./nack.ts";
export type { Received, Session, SessionOptions } from "./session.ts";
export { SharedValues } from "./shared-values.ts";
export { SotwSession } from "./sotw-session.ts";
export { emptyMap, withEntry, withoutEntry } from "./sparse.ts";
export { type ClientResource, clientResources, type InFlight, type WatchedResource } from "./watched-resource.ts";
