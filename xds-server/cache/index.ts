/** Resources, snapshots and the cache that streams read from. */
export * from "./consistency.ts";
export { type DynamicParameters, NO_DYNAMIC_PARAMETERS, sameDynamicParameters } from "./dynamic-parameters.ts";
export {
  contentHash,
  createResource,
  encodedResource,
  type Reference,
  type Resource,
  type ResourceOptions,
} from "./resource.ts";
export { canonicalName, collectionOf, isCollection } from "./resource-name.ts";
export { withoutSecrets } from "./secrets.ts";
export * from "./snapshot.ts";
export {
  type NodeHash,
  type NodeIdentity,
  type NodeLocality,
  nodeIdentity,
  SnapshotCache,
  singleGroup,
} from "./snapshot-cache.ts";
export { collectionMembers, resourceList, resourceNamed, type TypeChanges, typeChanges } from "./snapshot-changes.ts";
export { FULL_STATE_TYPES, isKnownType, PUSH_ORDER, TYPE_NAMES, WILDCARD_TYPES } from "./type-order.ts";
export { deltaBytes, heartbeatBytes, missingBytes, sotwAny } from "./wrapped-resource.ts";
