/** Bounds of the admin API: whoever reaches it may be mistaken or hostile, and must not hold up the Envoys that are served beside it. */

/** One document: what fits into a record of the state store with room to spare (900 KiB, itself below the 1 MiB of a Kubernetes object). */
export const MAX_DOCUMENT_BYTES = 896 * 1024;
/** Several documents at once: what a whole configuration folder may hold. */
export const MAX_BATCH_BYTES = 16 * 1024 * 1024;
/** Documents of one request. Each is a record of the store; they are changed as one. */
export const MAX_BATCH_DOCUMENTS = 1_000;
/** Everything else is small. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** Weights that one request changes: every endpoint of a large cluster. */
export const MAX_WEIGHT_CHANGES = 10_000;
/** As Envoy: uint32. The sum over a locality must fit too, so one weight is kept far below. */
export const MAX_WEIGHT = 1_000_000;

/** Connections; a few operators, Prometheus, and instances that send heartbeats over a connection they keep. */
export const MAX_CONNECTIONS = 4_096;
/** A request that is not complete by then is dropped, milliseconds. */
export const REQUEST_TIMEOUT_MS = 30_000;
export const HEADERS_TIMEOUT_MS = 5_000;
export const KEEP_ALIVE_MS = 65_000;

/** Requests of one address: in a burst, and per second in the long run. 10,000 instances behind one address with a heartbeat every 30 s need 333. */
export const RATE_BURST = 1_000;
export const RATE_PER_SECOND = 500;
/** Addresses that are remembered; the longest quiet is forgotten. */
export const RATE_ADDRESSES = 10_000;

/** Requests that wait for Envoys at the same time. */
export const MAX_WAITING = 256;
/** How long a request waits when it does not say, and the longest it may ask for, milliseconds. */
export const DEFAULT_WAIT_MS = 10_000;
export const MAX_WAIT_MS = 120_000;
/** How often it looks at the state of the Envoys while it waits, milliseconds. */
export const WAIT_POLL_MS = 20;

/** Errors that one answer lists. */
export const MAX_DETAILS = 200;
