/** Resources, snapshots and the cache that streams read from. */
export { contentHash, createResource, type Reference, type Resource } from "./resource.ts";
export { withoutSecrets } from "./secrets.ts";
export * from "./snapshot.ts";
export { type NodeHash, type NodeIdentity, SnapshotCache, singleGroup } from "./snapshot-cache.ts";
export { FULL_STATE_TYPES, isKnownType, PUSH_ORDER, TYPE_NAMES, WILDCARD_TYPES } from "./type-order.ts";
