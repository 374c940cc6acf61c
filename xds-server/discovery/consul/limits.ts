/** Bounds and times of the Consul source. */

/** How long Consul holds a question whose answer has not changed, ms; it adds up to a sixteenth. Below the minute after which proxies between the two give up. */
export const WAIT_MS = 55_000;
/** Consul wants waits between these, ms (its own maximum is 10 minutes). */
export const MIN_WAIT_MS = 1_000;
export const MAX_WAIT_MS = 600_000;
/** Questions under way at once. An agent refuses a client's connections beyond http_max_conns_per_client, 200 by default. */
export const MAX_QUESTIONS = 128;
/** With more services than that each is asked for about this often, ms. */
export const ROUND_MS = 10_000;
/** Questions of one service that may follow each other at once; then one per `poll.min`. A service that never rests must not make a busy loop of this server and Consul. */
export const BURST = 4;
/** Between questions when Consul, or a proxy before it, tells no index to wait for, ms. */
export const WITHOUT_INDEX_MS = 10_000;
/** After Consul has lost its state: agents register their services again about every minute (anti-entropy), ms. */
export const GRACE_MS = 90_000;
/** Tags and metadata of one instance that are read. */
export const MAX_PAIRS = 256;
