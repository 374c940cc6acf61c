/**
 * Names of the clusters that the targets of an LLMRouter become. Each target has a cluster of its own even when several name one service:
 * the endpoints carry the target's name, by which the attempt filter knows whose key a request needs, and an endpoint that belonged to two
 * targets would say nothing. (The alternative, one cluster per service, forbids two models of one provider in a rule, and makes routers of
 * different Gateways depend on each other.)
 */
import type { Metadata } from "./model.ts";

/** What the filters take as the name of a cluster. */
export const CLUSTER_BYTES = 256;

/** The beginning of the names of all clusters of a router, and of all its pools. */
export function llmClusterPrefix({ metadata }: { readonly metadata: Metadata }): string {
  return `llm/${metadata.namespace}/${metadata.name}/`;
}

/** `llm/namespace/router/target` */
export function llmClusterName(router: { readonly metadata: Metadata }, target: string): string {
  return llmClusterPrefix(router) + target;
}

/** A pool is named by its members in the order in which they are tried; the filter makes the same name. */
export function poolName(members: readonly string[]): string {
  return members.join("+");
}
