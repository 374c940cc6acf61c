/** What can go wrong around an Envoy process, as codes that a caller can act on. */
export type EnvoyErrorCode =
  /** No binary of the wanted version is installed. */
  | "envoy_missing"
  /** The process ended before it was ready, or later without having been asked to. */
  | "envoy_exited"
  /** The process runs but did not become ready in time. */
  | "envoy_not_ready"
  /** The log holds `error` or `critical` lines that no `allowErrors` pattern covers. */
  | "envoy_logged_errors"
  /** The admin interface answered with a status other than the expected one, or not at all. */
  | "admin_request_failed";

/** An error about an Envoy process; the message says what to do and, where it helps, ends with the last log lines. */
export class EnvoyError extends Error {
  override readonly name = "EnvoyError";
  readonly code: EnvoyErrorCode;

  constructor(code: EnvoyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
