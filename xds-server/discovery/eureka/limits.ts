/** Bounds and times of the Eureka source. */

/** Between two questions, ms, within the `poll` of the DiscoverySource. Eureka's own clients ask every 30 s; a delta without changes is small. */
export const POLL_MS = 10_000;
/** A server keeps changes for 3 minutes (retentionTimeInMSInDeltaQueue). Whoever asked longer ago has to read everything, ms. */
export const MAX_DELTA_AGE_MS = 120_000;
/** Everything is read again this often although the deltas agree, ms: their check counts instances by status and sees no other difference. */
export const FULL_EVERY_MS = 600_000;
/**
 * When something has changed, everything is read again after this long too, ms: a server that is asked while an instance changes may go on giving the delta of before, hash and all,
 * for three minutes (its response cache keeps what was loaded during an invalidation).
 */
export const CHECK_AFTER_MS = 60_000;
/** How long instances stay that are missing from a full answer, ms: the default lease, in which whoever lives renews or registers again. */
export const GRACE_MS = 90_000;
/** Instances of all applications; all have to be kept, because the check of the deltas is over all. */
export const MAX_INSTANCES = 50_000;
/** Bytes of one answer: so many instances of some 1.2 kB. */
export const MAX_REGISTRY_BYTES = 64 * 1024 * 1024;
/** Metadata of one instance that is read. */
export const MAX_PAIRS = 256;
