/**
 * Order between the types of one stream: when a resource must wait, and which clusters must stay a little longer.
 *
 * Sending the types one after the other is not enough. Envoy 1.40 withholds the ACK of a cluster update while a changed cluster warms, and
 * a route that is sent meanwhile may name a cluster that Envoy does not have yet. And a cluster that leaves in the same change that moves
 * its last route away must stay until the client has accepted that route ("make before break"). Both follow from one question: which
 * clusters do the routes name that the client holds, and which clusters does it hold?
 */
import { TypeUrl } from "../../protos/index.ts";
import type { Resource, ResourceMap } from "../cache/index.ts";
import type { WatchedResource } from "./watched-resource.ts";

type Watches = ReadonlyMap<string, WatchedResource>;

/**
 * Whether a resource must wait. It waits while a cluster it names is not yet held by the client: until the client has answered the cluster
 * response on its way, and, if that answer was a rejection, for as long as the client has an older version to work with.
 * @param offered the clusters that the server offers to this stream now
 */
export function waitsForClusters(
  resource: Resource,
  watch: WatchedResource,
  watches: Watches,
  offered: ResourceMap,
): boolean {
  const clusters = watches.get(TypeUrl.cluster);
  // A client that does not take clusters from this stream has them from elsewhere.
  if (clusters === undefined) return false;
  const { held, inFlight } = clusters;
  // Held is not enough while a response that takes the cluster away is on its way.
  const safe = (name: string) => held.has(name) && (inFlight === undefined || inFlight.resources.has(name));
  const missing = resource.references.some(
    ({ typeUrl, name }) => typeUrl === TypeUrl.cluster && offered.has(name) && !safe(name),
  );
  if (!missing) return false;
  return inFlight !== undefined || watch.held.has(resource.name);
}

/** Clusters that the server no longer offers but that a route names which the client still uses or is about to answer. */
export function retainedClusters(watches: Watches, offered: ResourceMap): readonly Resource[] {
  const clusters = watches.get(TypeUrl.cluster);
  if (clusters === undefined) return [];
  const leaving = [...clusters.sent.values()].filter(({ name }) => !offered.has(name));
  if (leaving.length === 0) return [];
  const used = new Set<string>();
  for (const typeUrl of [TypeUrl.listener, TypeUrl.route]) {
    const watch = watches.get(typeUrl);
    for (const resources of [watch?.held, watch?.inFlight?.resources]) {
      for (const { references } of resources?.values() ?? []) {
        for (const each of references) if (each.typeUrl === TypeUrl.cluster) used.add(each.name);
      }
    }
  }
  return leaving.filter(({ name }) => used.has(name));
}

/**
 * What must be sent again, unchanged, behind a response: an EDS cluster or a listener that changed starts to warm and waits for its
 * endpoints or routes, which Envoy does not ask for by itself when it already had them (measured: 15 s of warming without this).
 */
export function dependentsOf(changed: Iterable<Resource>): ReadonlyMap<TypeUrl, ReadonlySet<string>> {
  const dependents = new Map<TypeUrl, Set<string>>();
  for (const { references } of changed) {
    for (const { typeUrl, name } of references) {
      if (typeUrl !== TypeUrl.endpoints && typeUrl !== TypeUrl.route) continue;
      const names = dependents.get(typeUrl) ?? new Set();
      dependents.set(typeUrl, names.add(name));
    }
  }
  return dependents;
}
