/** Why a question to the API server has no good answer. */

export type ApiFault =
  /** No connection, or one that broke. */
  | "unreachable"
  | "timeout"
  /** An answer with an error status: {@link ApiError.status} and {@link ApiError.reason} say which. */
  | "status"
  /** No JSON, or not what was asked for. */
  | "malformed"
  | "too_large"
  /** The certificate, token or kubeconfig of this side cannot be read. */
  | "credentials";

export interface ApiErrorDetails {
  /** HTTP status; 0 when there was no answer. */
  readonly status?: number;
  /** `Status.reason`: AlreadyExists, Conflict, Expired and so on; "" when there is none. */
  readonly reason?: string;
  /** What Retry-After asked for, ms. */
  readonly retryAfterMs?: number;
}

export class ApiError extends Error {
  readonly fault: ApiFault;
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number;

  /** @param message what happened, with the path; never a credential */
  constructor(fault: ApiFault, message: string, { status = 0, reason = "", retryAfterMs = 0 }: ApiErrorDetails = {}) {
    super(message);
    this.name = "ApiError";
    this.fault = fault;
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }

  /** The version from which a watch wants to go on is no longer known: list again. https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses */
  get expired(): boolean {
    return this.status === 410 || this.reason === "Expired" || this.reason === "Gone";
  }

  /** 401 or 403: asking again helps only after somebody has changed rights. */
  get denied(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** For code that may also see errors of its own making. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError("unreachable", error instanceof Error ? error.message : String(error));
}
