/** Bounds on what engines send, and on how often they are asked. An engine may be anybody's program, so nothing that it says is trusted. */

/** Bytes of one answer. A vLLM with all its histograms sends some 100 kB. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** From the beginning of a scrape to the last byte of its answer, ms. */
export const SCRAPE_TIMEOUT_MS = 1_000;
/** Scrapes at one time, over all endpoints. */
export const MAX_SCRAPES = 64;
/** Endpoints are scraped for so long after somebody asked for them, ms. */
export const ASKED_MS = 5_000;
/** What was read longer ago says nothing, ms. */
export const KNOWN_MS = 10_000;
/** Intervals vary by so much, so that endpoints are not asked in step. */
export const JITTER = 0.2;

/** Labels of one sample. */
export const MAX_LABELS = 64;
/** Samples of the metrics that are looked at; a data parallel engine has one of each for a rank. */
export const MAX_SAMPLES = 4_096;
/** Adapters of one endpoint that are passed on, running and waiting each, and bytes of a name. */
export const MAX_ADAPTERS = 64;
export const MAX_ADAPTER_BYTES = 128;
/** Bytes of a request for loads: the name of a pool. */
export const MAX_POOL_NAME_BYTES = 256;
