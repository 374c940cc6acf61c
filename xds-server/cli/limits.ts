/** Bounds of the command line. */

/** A snapshot of 1,000 clusters decoded is some 20 MB. */
export const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
/** Of one request, milliseconds. */
export const REQUEST_TIMEOUT_MS = 30_000;
/** What a request may take on top of what the server waits for, milliseconds. */
export const WAIT_MARGIN_MS = 10_000;
/** How long a shutdown may take before the process ends anyway, milliseconds. */
export const SHUTDOWN_LIMIT_MS = 5_000;
