/** Bounds of the registry of our own. Any program that reaches the API may register: what it holds is bounded, and so is how often it writes. */

/** Characters of the name of a service, and of an instance's id: with `registry/` and a slash they are the key of a record (200 at most). */
export const MAX_SERVICE_LENGTH = 100;
export const MAX_ID_LENGTH = 80;
/** Instances of all services: the leases of all of them are one record, which may have 900 KiB. */
export const MAX_INSTANCES = 10_000;
/** Time to live: how long an instance is believed in without a heartbeat, s. */
export const MIN_TTL_S = 3;
export const MAX_TTL_S = 3_600;
export const DEFAULT_TTL_S = 30;

/** How often it is looked for instances whose time is over, ms. */
export const SWEEP_MS = 1_000;
/** A pause between two looks that is longer means that this process stood still, and with it what would have brought heartbeats, ms. */
export const STALL_MS = 5_000;
/** Instances that are removed at one look: each is a write. */
export const MAX_REMOVALS = 100;
/** When more than this part of all instances has no heartbeat at the same time, it is the way here that has failed and not they: nobody is removed. */
export const MOST_EXPIRED = 0.5;
/** Of so few, all may have ended by themselves. */
export const FEW_INSTANCES = 4;

/** Heartbeats that came here are told to the other replicas after this part of the shortest time to live, but not more often or seldom than these, ms. */
export const LEASE_PART = 6;
export const MIN_LEASE_MS = 1_000;
export const MAX_LEASE_MS = 10_000;
/** Record of leases of a replica that has not changed for so long is one of a replica that is gone, ms. */
export const LEASE_LIFE_MS = 3_600_000;
