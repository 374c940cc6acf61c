/**
 * The order in which types are pushed on a stream. The order matters: a resource goes out after everything it names
 * (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations). Secrets go before the listeners and behind
 * the clusters that use them, where a warming cluster waits for them as for its endpoints. A filter configuration goes last of what takes traffic,
 * because the routes that a filter chooses between must be there before it chooses. Runtime keys name nothing and nothing names them.
 */
import { TypeUrl } from "../../protos/index.ts";

export const PUSH_ORDER: readonly TypeUrl[] = [
  TypeUrl.cluster,
  TypeUrl.endpoints,
  TypeUrl.secret,
  TypeUrl.listener,
  TypeUrl.scopedRoute,
  TypeUrl.route,
  TypeUrl.virtualHost,
  TypeUrl.extensionConfig,
  TypeUrl.runtime,
];

/**
 * State-of-the-world responses of these types always carry every subscribed resource: absence means removal. The protocol demands it of clusters and
 * listeners; Envoy also takes scoped routes that way.
 */
export const FULL_STATE_TYPES: ReadonlySet<string> = new Set([TypeUrl.cluster, TypeUrl.listener, TypeUrl.scopedRoute]);

/** An empty subscription means "everything" for these types only; for the others it means nothing. */
export const WILDCARD_TYPES: ReadonlySet<string> = FULL_STATE_TYPES;

/** Short names for logs, metrics and the admin API. */
export const TYPE_NAMES: Readonly<Record<TypeUrl, string>> = {
  [TypeUrl.cluster]: "CDS",
  [TypeUrl.endpoints]: "EDS",
  [TypeUrl.secret]: "SDS",
  [TypeUrl.listener]: "LDS",
  [TypeUrl.scopedRoute]: "SRDS",
  [TypeUrl.route]: "RDS",
  [TypeUrl.virtualHost]: "VHDS",
  [TypeUrl.extensionConfig]: "ECDS",
  [TypeUrl.runtime]: "RTDS",
};

export function isKnownType(typeUrl: string): typeUrl is TypeUrl {
  return Object.hasOwn(TYPE_NAMES, typeUrl);
}
