/**
 * Order between the types of one stream: when a resource must wait, and which clusters must stay a little longer.
 *
 * Sending the types one after the other is not enough. Envoy 1.40 withholds the ACK of a cluster update while a changed cluster warms, and
 * a route that is sent meanwhile may name a cluster that Envoy does not have yet. And a cluster that leaves in the same change that moves
 * its last route away must stay until the client has accepted that route ("make before break"). Both follow from one question: which
 * clusters do the routes name that the client holds, and which clusters does it hold?
 *
 * A filter configuration is like a route in this: llm-router writes the name of a cluster into a header, and a route takes it from there. Clusters
 * that name clusters (pools) need no order of their own: Envoy looks their members up per request, and whoever names a pool names its members too.
 */
import { TypeUrl } from "../../protos/index.ts";
import type { Resource, ResourceMap } from "../cache/index.ts";
import type { WatchedResource } from "./watched-resource.ts";

type Watches = ReadonlyMap<string, WatchedResource>;

/**
 * Whether a resource must wait. It waits while a cluster it names is not yet held by the client: until the client has answered the cluster
 * response on its way, and, if that answer was a rejection, for as long as the client has an older version to work with that does not name it.
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
  const missing = clusterNames(resource).filter((name) => offered.has(name) && !safe(name));
  if (missing.length === 0) return false;
  if (inFlight !== undefined) return true;
  const older = watch.held.get(resource.name);
  if (older === undefined) return false;
  // What the client works without already is no reason to keep a change from it: an Envoy that knows no pools gets all the rest.
  const named = clusterNames(older);
  return missing.some((name) => !named.includes(name));
}

function clusterNames({ references }: Resource): readonly string[] {
  return references.filter(({ typeUrl }) => typeUrl === TypeUrl.cluster).map(({ name }) => name);
}

/** Clusters that the server no longer offers but that something names which the client still uses or is about to answer. */
export function retainedClusters(watches: Watches, offered: ResourceMap): readonly Resource[] {
  const clusters = watches.get(TypeUrl.cluster);
  if (clusters === undefined) return [];
  const leaving = [...clusters.sent.values()].filter(({ name }) => !offered.has(name));
  if (leaving.length === 0) return [];
  const used = new Set<string>();
  for (const typeUrl of [TypeUrl.listener, TypeUrl.route, TypeUrl.extensionConfig]) {
    const watch = watches.get(typeUrl);
    for (const resources of [watch?.held, watch?.inFlight?.resources]) {
      for (const resource of resources?.values() ?? []) for (const name of clusterNames(resource)) used.add(name);
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
