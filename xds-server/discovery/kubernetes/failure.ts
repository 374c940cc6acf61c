/** Errors of the API server in the terms of discovery. */
import type { ApiError } from "../../kubernetes/index.ts";
import { DiscoveryError, type DiscoveryErrorCode } from "../errors.ts";

export function apiFailure(error: ApiError): DiscoveryError {
  return new DiscoveryError(codeOf(error), `Kubernetes: ${error.message.slice(0, 400)}`);
}

function codeOf({ fault, denied }: ApiError): DiscoveryErrorCode {
  if (denied) return "TM_DISCOVERY_DENIED";
  if (fault === "credentials") return "TM_DISCOVERY_SECRET";
  if (fault === "timeout") return "TM_DISCOVERY_TIMEOUT";
  if (fault === "unreachable") return "TM_DISCOVERY_UNREACHABLE";
  if (fault === "too_large") return "TM_DISCOVERY_TOO_LARGE";
  return fault === "malformed" ? "TM_DISCOVERY_MALFORMED" : "TM_DISCOVERY_FAILED";
}
