/** Bounds of the xDS port and the admin API. */

/** Open discovery streams; an Envoy has one, or one per type without ADS. */
export const MAX_STREAMS = 5_000;

/** Connections: an Envoy has one for its stream and one per worker for what its filters ask. */
export const MAX_CONNECTIONS = 20_000;

/** Calls on one connection; Envoy has one or two streams, its filters ask at most a few dozen at a time. */
export const MAX_CALLS_PER_CONNECTION = 1_000;

/** Bytes of unary calls of one connection that are not answered: an answer of the prompt cache may be large, and some are under way at a time. */
export const MAX_PENDING_BYTES = 64 * 1024 * 1024;

/** New streams per second that are served at once. One costs 0.2-0.5 ms of CPU to connect and be sent what others were sent before. */
export const STREAMS_PER_SECOND = 500;

/** New streams that may come at once after a quiet time: a fleet that comes back after a restart of this server. */
export const STREAM_BURST = 500;

/** A new stream waits this long for its turn, then it is refused: Envoy tries again with a back-off, perhaps at another replica. */
export const ADMISSION_WAIT_MS = 1_000;

/** Bytes of requests of a stream that waits for its turn: Envoy sends one at first, then waits for an answer. */
export const MAX_EARLY_BYTES = 4 * 1024 * 1024;

/** A stream that has not named its node after this long is ended. */
export const FIRST_REQUEST_TIMEOUT_MS = 15_000;

/** Dead peers are noticed after KEEPALIVE_TIME_MS + KEEPALIVE_TIMEOUT_MS. */
export const KEEPALIVE_TIME_MS = 30_000;
export const KEEPALIVE_TIMEOUT_MS = 10_000;

/** Age at which a connection is ended, so that streams spread over replicas again; give or take a tenth. */
export const MAX_CONNECTION_AGE_MS = 30 * 60_000;

/** How long `close()` waits for calls to end by themselves. */
export const SHUTDOWN_GRACE_MS = 2_000;

/** Over how long thousands of streams are ended when the server closes; a thousand take SHUTDOWN_MS_PER_STREAM * 1000. */
export const SHUTDOWN_SPREAD_MS = 5_000;
export const SHUTDOWN_MS_PER_STREAM = 5;

/** One turn of the event loop sends to as many streams as fit into this, so that requests are read in between. */
export const PUSH_SLICE_MS = 5;

/** UTF-16 units of a node id or cluster name. */
export const MAX_NODE_ID_LENGTH = 512;

/** Bytes of node metadata: istio's proxies send some KB. */
export const MAX_METADATA_BYTES = 64 * 1024;
export const MAX_METADATA_DEPTH = 16;

/** Bytes of a node's dynamic parameters, over all types: they are a few words. Each stream keeps its own. */
export const MAX_DYNAMIC_PARAMETER_BYTES = 16 * 1024;

/** Envoy has about ten. */
export const MAX_CLIENT_FEATURES = 100;

/** Encoded responses that are kept for other streams, by number per type and by bytes in all. */
export const MAX_SHARED_BODIES = 4;
export const MAX_SHARED_BYTES = 64 * 1024 * 1024;

/** Rejections that are remembered, over all nodes; the oldest go first. */
export const MAX_NACKS = 10_000;

/** Rejections of a node that has been away this long are forgotten. */
export const NACK_MEMORY_MS = 60 * 60_000;

/** How often Envoys report their load: as often as it costs them little, often enough to see that a draining endpoint is idle. */
export const LOAD_REPORT_INTERVAL_MS = 5_000;

/** A report is believed for this many intervals. */
export const LOAD_REPORT_LIFE = 3;

/** Places (clusters, localities, endpoints, each per node) whose load is kept; more are counted and dropped. 1,000 clusters x 20 endpoints x 10 Envoys. */
export const MAX_LOAD_PLACES = 200_000;

/** Nodes that report loads. */
export const MAX_LOAD_NODES = 5_000;

/** Bytes of one answer of the client status service. */
export const MAX_STATUS_BYTES = 64 * 1024 * 1024;

/** Of one question to the client status service; one is usual. */
export const MAX_NODE_MATCHERS = 100;
