/** Bounds on the talk with the API server of Kubernetes. What it stores comes from everybody who may write into the cluster. */

/** Bytes of one object in a watch. etcd takes 1.5 MiB; as JSON a control character has six bytes. */
export const MAX_OBJECT_BYTES = 10 * 1024 * 1024;
/** Bytes of one page of a list: 200 EndpointSlices with 1,000 endpoints each are some 50 MiB. */
export const MAX_PAGE_BYTES = 64 * 1024 * 1024;
/** Objects per page, where objects are small. */
export const PAGE_SIZE = 200;
/** Objects of one collection that are kept; large ones count as several. */
export const MAX_OBJECTS = 50_000;
/** Bytes of an answer that is an error; more of it is not read. */
export const MAX_ERROR_BYTES = 64 * 1024;
/** Characters of an error's message that are passed on. */
export const MAX_MESSAGE_LENGTH = 300;

/** From a question to its whole answer, and from a watch's question to its first line of headers, ms. */
export const ANSWER_TIMEOUT_MS = 10_000;
/** A watch is ended by the server after this long, and as much longer by chance that watches do not end together, ms. */
export const WATCH_MIN_MS = 240_000;
export const WATCH_SPREAD_MS = 240_000;
/** A watch that its server should have ended this long ago has a dead connection, ms. */
export const WATCH_SLACK_MS = 10_000;
/** Silent connections are probed after this long, ms; a machine that is gone is noticed some ten seconds later. */
export const KEEP_ALIVE_MS = 15_000;
/** A watch that ended earlier than this without a word was no success, ms: asked again at once it would be a busy loop. */
export const WATCH_SHORT_MS = 1_000;
/** The longest wait that an answer 429 or 503 can ask for, ms. */
export const MAX_RETRY_AFTER_MS = 60_000;

/** Waiting after failed attempts: at most the base at first, twice as long each time, up to the cap; never less than the floor, ms. */
export const BACKOFF_BASE_MS = 500;
export const BACKOFF_CAP_MS = 30_000;
export const BACKOFF_FLOOR_MS = 50;

/** Bytes of a service account's token, and of its certificate authority. */
export const MAX_TOKEN_BYTES = 16 * 1024;
export const MAX_CA_BYTES = 1024 * 1024;
