/** Bounds of the file source; those of the YAML itself are the configuration's: 1 MiB, 200,000 nodes. */

/** Services in one file. */
export const MAX_SERVICES = 10_000;
/** A file that changed is read when it has stayed the same for so long: somebody may still be writing, ms. */
export const SETTLE_MS = 50;
/** Errors of a file that are told; the rest is a number. */
export const MAX_TOLD_ERRORS = 3;
