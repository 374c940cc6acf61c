/** Bounds of the answer service. Envoys may be anybody's, and a store may hang: nothing that is asked for waits or grows without end. */

/** Bytes of a key: 128 bits. */
export const KEY_BYTES = 16;
/** Bytes of an entry as filters send it: the gRPC server takes messages of 4 MiB, in which key, life and lengths stand too. */
export const MAX_VALUE_BYTES = 4 * 1024 * 1024 - 4 * 1024;
/** Bytes of a request that holds no entry. */
export const MAX_REQUEST_BYTES = 1_024;
/** The same with the text of a question. */
export const MAX_GET_BYTES = 10 * 1024;
/** Life of an entry, ms. */
export const MIN_TTL_MS = 1_000;
export const MAX_TTL_MS = 30 * 86_400_000;

/** Gets under way; more are misses at once. */
export const MAX_GETS = 2_048;
/** Calls to Redis under way; more fail at once. A get is one, and so is what a put stores. */
export const MAX_STORE_CALLS = 4_096;
/** Bytes of entries that are being packed or wait for the store; more are not stored. */
export const MAX_PUT_BYTES = 64 * 1024 * 1024;
/** Entries below this many bytes are stored as they are: what compression takes off them is less than what Redis adds to every key. */
export const MIN_PACKED_BYTES = 1_024;
/** A store that answers with errors is logged once in this time, ms. */
export const LOG_EVERY_MS = 10_000;

/** Envoys that wait for purges; one Envoy has one such call, or one for each of its workers. */
export const MAX_POLLERS = 4_096;
/** How long a call waits for purges, ms. */
export const MAX_WAIT_MS = 10_000;
/** How often a store is looked at for purges by other servers, ms. */
export const LOOK_MS = 200;
/** Bytes of an Envoy's name, and how many names are remembered for people. */
export const MAX_ENVOY_BYTES = 512;
export const MAX_ENVOYS = 4_096;
/** Purges of one answer: as many as a filter keeps. */
export const MAX_PURGES_PER_ANSWER = 64;
/** Purges that are kept for Envoys which have not asked yet. Whoever misses more is told to drop everything. */
export const MAX_PURGE_LOG = 256;
/** Purges that are kept for entries: models, tenants and keys. */
export const MAX_MARKS = 10_000;
/** How long an entry from before a purge can come to light, ms: the longest life, and a day for the request that made it. */
export const MARK_LIFE_MS = MAX_TTL_MS + 86_400_000;
/** The same for a purge of one key, whose entry is removed with it: only a request that was under way can bring it back. */
export const KEY_MARK_LIFE_MS = 86_400_000;

/** Bytes of a request of the admin API, and of a name in it. */
export const MAX_BODY_BYTES = 64 * 1024;
export const MAX_NAME_BYTES = 1_024;

/** Answers on their way that others read along, of all Envoys; more are read by nobody but who asked. */
export const MAX_FLIGHTS = 1_024;
/** Requests that read along. */
export const MAX_FOLLOWERS = 16_384;
/** Bytes of one such answer that are kept for those who come late, and of all; beyond, of each the last ones, for those who are slow. */
export const MAX_FLIGHT_BYTES = 4 * 1024 * 1024;
export const MAX_ALL_FLIGHT_BYTES = 64 * 1024 * 1024;
export const FLIGHT_WINDOW_BYTES = 64 * 1024;
/** How long one that has ended is there for those on their way to it, ms. */
export const FLIGHT_LINGER_MS = 10_000;
/** Bytes of what says when the pieces of a stream came, and pieces: filters put those together that came so near each other that they would be more. */
export const MAX_PACE_BYTES = 8 * 1024;
export const MAX_PACE_PIECES = 1_024;
/** Stored streams that are given again as they came, and bytes of the answers and their times; what is more is given at once. */
export const MAX_REPLAYS = 4_096;
export const MAX_REPLAY_BYTES = 64 * 1024 * 1024;
/** What Node takes for one of the times at which pieces are due. */
export const PIECE_BYTES = 48;
/** How long one waits for the request that was told of it, how long it may take, and what is due within which time is given together, ms. */
export const REPLAY_CLAIM_MS = 10_000;
export const MAX_REPLAY_MS = 600_000;
export const REPLAY_STEP_MS = 5;
/** What requests may want of a replay: percent of the recorded speed, and the longest gap, ms. */
export const MAX_SPEED_PERCENT = 10_000;
export const MIN_SPEED_PERCENT = 10;
export const MAX_GAP_MS = 60_000;
/** Bytes from a leader between two of its acknowledgements. */
export const FLIGHT_ACK_BYTES = 64 * 1024;
/** How long other servers can say where an answer on its way is, ms: longer than any takes. What is not forgotten in order, because its server died, ends by itself. */
export const FLIGHT_PLACE_MS = 3_600_000;
/** Servers that a server passes requests on to. */
export const MAX_PLACES = 64;
/** Bytes of a content type. */
export const MAX_CONTENT_TYPE_BYTES = 256;
