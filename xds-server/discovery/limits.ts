/** Bounds on what sources of service discovery say. A registry is filled by everybody's programs, so nothing in it is trusted. */

/** Endpoints of one service. Envoy itself gets slow beyond some ten thousand in one cluster. */
export const MAX_ENDPOINTS = 10_000;
/** Labels of one endpoint. */
export const MAX_LABELS = 64;
/** Bytes of the name of a label: a Kubernetes prefix (253), a slash and a name (63). */
export const MAX_LABEL_KEY_BYTES = 317;
/** Bytes of the value of a label; Kubernetes has 63, Consul's Meta 512. */
export const MAX_LABEL_VALUE_BYTES = 512;
/** Bytes of an endpoint's id. */
export const MAX_ID_BYTES = 512;
/** Bytes of region, zone or sub-zone each. */
export const MAX_LOCALITY_BYTES = 128;
/** Bytes of the name of a service: a DNS name. */
export const MAX_SERVICE_BYTES = 253;
/** As in a ServiceEntry. */
export const MAX_WEIGHT = 1_000_000;
/** Named ports of one endpoint, as in a ServiceEntry. */
export const MAX_PORTS = 64;
/** Bytes of one answer of a registry: 10,000 endpoints of some 1.5 kB. */
export const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** Bytes of a file with a token or password. */
export const MAX_SECRET_BYTES = 16 * 1024;
/** From a question to its whole answer where the source is not asked to wait, ms. */
export const ANSWER_TIMEOUT_MS = 5_000;

/** Waiting after failed attempts: at most the base at first, twice as long each time, up to the cap, ms. */
export const BACKOFF_BASE_MS = 500;
export const BACKOFF_CAP_MS = 30_000;
/** Full jitter may say 0; a source that is down is not asked more often than this, ms. */
export const BACKOFF_FLOOR_MS = 50;

/** A change waits at most so long although further ones keep coming, ms. */
export const DEBOUNCE_MAX_MS = 1_000;
/** Endpoints that drain, per service: a source whose endpoints all change at each answer must not grow this server. */
export const MAX_DRAINING = 10_000;
/** Reasons for left-out endpoints that are kept for people. */
export const MAX_REASONS = 5;
/** An endpoint that has left drains at least so long before a load report may end it: reports come every few seconds, and an older one may not know its last requests, ms. */
export const DRAIN_LEAST_MS = 3_000;
/** How often load reports are looked at while an endpoint drains, ms. */
export const DRAIN_CHECK_MS = 1_000;
/** What a former run of this server knew is used when the source has not answered for so long, ms. */
export const REMEMBERED_AFTER_MS = 1_000;
/** Characters of a record of remembered endpoints; the state store takes 900 KiB. */
export const MAX_REMEMBERED_BYTES = 900 * 1024;
/** Records longer than this are compressed: 10,000 endpoints fit then. */
export const COMPRESS_BYTES = 64 * 1024;
