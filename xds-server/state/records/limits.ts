/** Bounds of the state that must survive: what one record, one store and one table may hold. */

/** Characters of a key: with its ending it is the name of a file (255 at most), and of a ConfigMap's annotation. */
export const MAX_KEY_LENGTH = 200;
/** Bytes of a value in UTF-8: a ConfigMap holds 1 MiB with its metadata. */
export const MAX_VALUE_BYTES = 900 * 1024;
/** Records of one store, and bytes of all of them: a mirror of what a prefix holds is kept in memory. */
export const MAX_RECORDS = 20_000;
export const MAX_STORE_BYTES = 256 * 1024 * 1024;
/** Records that are changed together, and bytes of their values: as many documents as one request may have (api/limits.ts), with room for how they are kept. */
export const MAX_CHANGES = 1_000;
export const MAX_CHANGE_BYTES = 20 * 1024 * 1024;
/** Watches of one store; the server has one for each kind of record. */
export const MAX_WATCHES = 1_024;

/** How often a change by compare-and-set is begun again when others change the same record, and the longest pause between, ms. */
export const MAX_ATTEMPTS = 12;
export const MAX_PAUSE_MS = 200;

/** A store that tells of changes by itself is also looked at this often, ms: a message may have been lost. */
export const LOOK_MS = 1_000;
/** Values that are asked for with one call to Redis: 14 MiB at most. */
export const VALUES_PER_CALL = 16;
/** Values that were fetched while others changed them are fetched again this often, so that what is told is what there was at one time. */
export const MAX_READS = 8;
/** After this long without an answer a call to Redis fails, ms: an answer may have 14 MiB. */
export const REDIS_TIMEOUT_MS = 3_000;
/** Calls to Redis under way: those of one look, and of some dozens of people and programs. */
export const MAX_REDIS_CALLS = 256;
/** When a record was written here, something else is told, and the store does not answer: it is asked again after this long, ms. */
export const RECHECK_MS = 1_000;

/** Endpoints with a weight of their own; all of them are one record. */
export const MAX_WEIGHTS = 10_000;
/** Of one change: it is made, or not made, as a whole. */
export const MAX_WEIGHT_CHANGES = 1_000;
/** As much as a ServiceEntry may give. */
export const MAX_WEIGHT = 1_000_000;
/** Characters of a cluster's name and of an address. */
export const MAX_NAME_LENGTH = 512;
/** Characters of `KIND/namespace/name`: names of Kubernetes have 253 at most. */
export const MAX_DOCUMENT_ID_LENGTH = 600;

/** ConfigMaps per page of a list: a record may have 5 MiB as JSON. */
export const CONFIG_MAPS_PER_PAGE = 10;
/** After this long without a whole answer a call to the API server fails, ms. */
export const KUBERNETES_TIMEOUT_MS = 5_000;
/** Calls to the API server under way. */
export const MAX_KUBERNETES_CALLS = 256;
/** Bytes of a change of several records in a ConfigMap, compressed: it takes 1 MiB with its metadata. */
export const MAX_CONFIG_MAP_CHANGE_BYTES = 960 * 1024;
/** What a record counts against the 50,000 objects of one collection (xds-server/kubernetes/limits.ts): that makes 20,000 records and some 256 MiB. */
export const MIN_CONFIG_MAP_WEIGHT = 2.5;
export const CONFIG_MAP_WEIGHT_LENGTH = 5_000;

/** Bytes of a value in Consul as it is sent: a transaction takes 512 KiB, in base64, with some room for what stands around. Longer texts are compressed. */
export const MAX_CONSUL_VALUE_BYTES = 380 * 1024;
/** Operations of one transaction of Consul (a deletion that compares is two of them). */
export const MAX_CONSUL_OPERATIONS = 64;
/** Bytes of all values of one transaction, in base64, with what stands around them: Consul takes requests of 512 KiB. */
export const MAX_CONSUL_REQUEST_BYTES = 511 * 1024;
/** Texts that are longer are compressed in Consul, bytes. */
export const COMPRESS_BYTES = 4 * 1024;
/** Bytes of an answer of Consul: every record below a prefix, in base64. */
export const MAX_CONSUL_ANSWER_BYTES = 64 * 1024 * 1024;
/** After this long without an answer a call to Consul fails, ms. */
export const CONSUL_TIMEOUT_MS = 5_000;
/** How long Consul holds a question whether something has changed, and how much longer its answer may take (it adds a sixteenth), ms. */
export const CONSUL_WAIT_MS = 55_000;
export const CONSUL_WAIT_SLACK_MS = 10_000;
/** Between two questions: changes that come close together are one answer, ms. */
export const CONSUL_PAUSE_MS = 20;
/** After a question that failed, ms, at first and at most. */
export const CONSUL_BACKOFF_MIN_MS = 250;
export const CONSUL_BACKOFF_MAX_MS = 5_000;
