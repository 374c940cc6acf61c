/** The API server of Kubernetes: who we are to it, questions, and copies of its collections that keep themselves true. */
export { ApiClient, type CallOptions, type Query } from "./api-client.ts";
export { ApiError, type ApiFault, asApiError } from "./api-error.ts";
export { type Cluster, type ClusterOptions, type Credentials, openCluster, podCluster } from "./cluster.ts";
export type { RawObject } from "./collection.ts";
export { ANSWER_TIMEOUT_MS } from "./limits.ts";
export { Reflector, type ReflectorOptions, type Timing } from "./reflector.ts";
