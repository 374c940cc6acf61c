/** Times of the control plane, in milliseconds. */

/** A document that is put is often one of several: what comes together is one configuration. Like files (config/limits.ts). */
export const DOCUMENTS_QUIET_MS = 100;
/** The longest that a change of a document waits for others to end. */
export const DOCUMENTS_MAX_MS = 10_000;

/** Endpoints and weights are cheap to publish, and people wait for them: at once, with all that come in the same turn of the event loop. */
export const ENDPOINTS_QUIET_MS = 0;
/** The longest that a change of endpoints or weights waits, where a quiet time is set. */
export const ENDPOINTS_MAX_MS = 100;

/** How long the first configuration waits for the first answers of discovery: to serve clusters without endpoints would take traffic down. */
export const FIRST_ANSWERS_MS = 10_000;
