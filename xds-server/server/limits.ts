/** Bounds of the gRPC server and the admin API. */

/** Open streams; an Envoy has one. */
export const MAX_STREAMS = 2_000;

/** Streams on one connection; Envoy uses one, a shared test client a few. */
export const MAX_STREAMS_PER_CONNECTION = 100;

/** A stream that has not named its node after this long is ended. */
export const FIRST_REQUEST_TIMEOUT_MS = 15_000;

/** Dead peers are noticed after KEEPALIVE_TIME_MS + KEEPALIVE_TIMEOUT_MS. */
export const KEEPALIVE_TIME_MS = 30_000;
export const KEEPALIVE_TIMEOUT_MS = 10_000;

/** How long `close()` waits for streams to end by themselves. */
export const SHUTDOWN_GRACE_MS = 2_000;

/** UTF-16 units of a node id or cluster name that are kept. */
export const MAX_NODE_ID_LENGTH = 512;

/** Bytes of one DiscoveryResponse: a snapshot with a few Wasm modules inline. */
export const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;
