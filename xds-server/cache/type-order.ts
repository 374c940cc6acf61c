/**
 * The order in which types are pushed on a stream. The order matters: a resource goes out after everything it names
 * (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations), and a filter configuration goes
 * last, because the routes that a filter chooses between must be there before it chooses.
 */
import { TypeUrl } from "../../protos/index.ts";

export const PUSH_ORDER: readonly TypeUrl[] = [
  TypeUrl.cluster,
  TypeUrl.endpoints,
  TypeUrl.listener,
  TypeUrl.route,
  TypeUrl.extensionConfig,
];

/** State-of-the-world responses of these types always carry every subscribed resource: absence means removal. */
export const FULL_STATE_TYPES: ReadonlySet<string> = new Set([TypeUrl.cluster, TypeUrl.listener]);

/** An empty subscription means "everything" for these types only; for the others it means nothing. */
export const WILDCARD_TYPES: ReadonlySet<string> = FULL_STATE_TYPES;

/** Short names for logs, metrics and the admin API. */
export const TYPE_NAMES: Readonly<Record<TypeUrl, string>> = {
  [TypeUrl.cluster]: "CDS",
  [TypeUrl.endpoints]: "EDS",
  [TypeUrl.listener]: "LDS",
  [TypeUrl.route]: "RDS",
  [TypeUrl.extensionConfig]: "ECDS",
};

export function isKnownType(typeUrl: string): typeUrl is TypeUrl {
  return Object.hasOwn(TYPE_NAMES, typeUrl);
}
