/** Protocol state of a stream: pure, no gRPC. */
export type { DiscoveryRequest, ErrorDetail, PlannedResponse } from "./discovery.ts";
export { MAX_REQUEST_BYTES } from "./limits.ts";
export type { Nack } from "./nack.ts";
export { type Received, SotwSession } from "./sotw-session.ts";
export type { WatchedResource } from "./watched-resource.ts";
