/** Why a source has no good answer. The codes and their remedies are in the table of the server. */
import { type ErrorCode, ServerError } from "../errors.ts";

export type DiscoveryErrorCode = Extract<ErrorCode, `TM_DISCOVERY_${string}`>;

export class DiscoveryError extends ServerError {
  declare readonly code: DiscoveryErrorCode;

  /** @param message what happened, with the address or path; never a secret, and nothing unbounded from outside */
  constructor(code: DiscoveryErrorCode, message: string) {
    super(code, message);
    this.name = "DiscoveryError";
  }
}
