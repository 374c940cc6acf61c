/** The parts of DiscoveryRequest and DiscoveryResponse that the protocol state works with; the wire format is server/discovery-wire.ts. */
import type { TypeUrl } from "../../protos/index.ts";
import type { Resource } from "../cache/index.ts";

/** `google.rpc.Status` in a NACK. */
export interface ErrorDetail {
  readonly code: number;
  readonly message: string;
}

export interface DiscoveryRequest {
  readonly typeUrl: string;
  readonly versionInfo: string;
  readonly resourceNames: readonly string[];
  readonly responseNonce: string;
  /** Present in a NACK, and only there. */
  readonly errorDetail?: ErrorDetail;
}

/** A response that is due; its resources are already encoded. */
export interface PlannedResponse {
  readonly typeUrl: TypeUrl;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly Resource[];
}
