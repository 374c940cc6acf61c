/** Bounds of the semantic tier. An embeddings endpoint may be slow or down, and texts anybody's. */

/** Bytes of a partition: 128 bits. */
export const PARTITION_BYTES = 16;
/** Bytes of a text in UTF-8. */
export const MAX_TEXT_BYTES = 8_192;

/** Numbers of a vector. */
export const MIN_DIMENSIONS = 2;
export const MAX_DIMENSIONS = 4_096;

/** Texts that wait to be embedded: those that a request waits for, and those of answers that were stored. More are left out. */
export const MAX_URGENT = 256;
export const MAX_LATER = 1_024;
/** Texts of one call of the endpoint, and calls under way. */
export const DEFAULT_BATCH = 16;
export const MAX_CALLS = 4;
/** How long a call for stored answers may take, ms: nobody waits. */
export const LATER_TIMEOUT_MS = 10_000;
/** Bytes of an answer of the endpoint: a batch of the longest vectors. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** Failures in a row after which the endpoint is left alone, and for how long, ms: twice as long each time. */
export const MAX_FAILURES = 5;
export const MIN_PAUSE_MS = 1_000;
export const MAX_PAUSE_MS = 30_000;

/** Vectors of texts that were embedded lately: a question that found nothing comes back with its answer. */
export const MAX_RECENT = 1_024;
/** Answers near enough whose words are compared, and how many of them are looked up before it is a miss. */
export const MAX_COMPARED = 32;
export const MAX_LOOKUPS = 3;

/** Records of one answer of Redis, and how many a get fetches at most: some megabytes. */
export const RECORDS_PER_PAGE = 128;
