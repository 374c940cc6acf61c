/** An answer that is an error: a code of the table, what happened, what to do, and the single faults. */
import type { ConfigError } from "../config/index.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";
import { MAX_DETAILS } from "./limits.ts";

/** One fault of several: where (a file with line and column, a document, a field, or an Envoy) and what. */
export interface ErrorDetail {
  readonly code?: string;
  readonly message: string;
  readonly remedy?: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly field?: string;
  readonly node?: string;
  readonly resources?: readonly string[];
  /** Of a rejection: the Envoy's stream is over. */
  readonly earlier?: true;
  /** Of a rejection: since when the Envoy is not connected, RFC 3339. */
  readonly awaySince?: string;
}

/** HTTP status by code; what is not named here is a mistake of ours. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  TM_API_BAD_REQUEST: 400,
  TM_RECORD_INVALID: 400,
  TM_WEIGHT_INVALID: 400,
  TM_API_UNAUTHORIZED: 401,
  TM_API_FORBIDDEN: 403,
  TM_API_NOT_FOUND: 404,
  TM_API_METHOD: 405,
  TM_API_CONFLICT: 409,
  TM_API_NACKED: 409,
  TM_ROLLBACK_UNAVAILABLE: 409,
  TM_API_TOO_LARGE: 413,
  TM_STATE_TOO_LARGE: 413,
  TM_API_INVALID: 422,
  TM_API_UNKNOWN_ENDPOINT: 422,
  TM_API_TOO_MANY: 429,
  TM_API_NOT_READY: 503,
  TM_API_PARTIAL: 503,
  TM_STORE_UNAVAILABLE: 503,
  TM_API_TIMEOUT: 504,
};

export interface ApiErrorOptions {
  readonly details?: readonly ErrorDetail[];
  /** Members of the answer beside `error`: what happened nevertheless. */
  readonly result?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly details: readonly ErrorDetail[];
  readonly result: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, { details = [], result = {}, headers = {} }: ApiErrorOptions = {}) {
    super(message);
    this.code = code;
    this.status = STATUS[code] ?? 500;
    this.details = details.slice(0, MAX_DETAILS);
    this.result = result;
    this.headers = headers;
  }

  get remedy(): string {
    return ERRORS[this.code].remedy;
  }
}

/** The body of the answer. */
export function errorBody({ code, message, remedy, details, result }: ApiError): Readonly<Record<string, unknown>> {
  return { ...result, error: { code, message, remedy, details } };
}

/** Errors of the configuration as details. */
export function configDetails(errors: readonly ConfigError[]): readonly ErrorDetail[] {
  return errors.map(({ code, message, remedy, file, line, column }) => ({ code, message, remedy, file, line, column }));
}

/** @throws ApiError TM_API_INVALID unless there is no error */
export function refuseInvalid(errors: readonly ConfigError[]): void {
  if (errors.length === 0) return;
  const what = errors.length === 1 ? "1 error" : `${errors.length} errors`;
  throw new ApiError("TM_API_INVALID", `the configuration would have ${what}`, { details: configDetails(errors) });
}
