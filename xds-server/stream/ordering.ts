/**
 * Order between the types of one stream: when a resource must wait, what must stay a little longer, and what must be sent again.
 *
 * Sending the types one after the other is not enough. Envoy 1.40 withholds the ACK of a cluster update while a changed cluster warms, and
 * a route that is sent meanwhile may name a cluster that Envoy does not have yet. And a cluster that leaves in the same change that moves
 * its last route away must stay until the client has accepted that route ("make before break"). Both follow from one question: what do the
 * resources name that the client holds, and which of it does it hold?
 *
 * A filter configuration is like a route in this: llm-router writes the name of a cluster into a header, and a route takes it from there. Clusters
 * that name clusters (pools) need no order of their own: Envoy looks their members up per request, and whoever names a pool names its members too.
 *
 * Endpoints and secrets never wait: they are what a warming cluster or listener waits for.
 */
import { TypeUrl } from "../../protos/index.ts";
import type { Resource } from "../cache/index.ts";
import { UNKNOWN_REFERENCES } from "./client-resources.ts";
import { withMember } from "./sparse.ts";
import type { WatchedResource } from "./watched-resource.ts";

export type Watches = ReadonlyMap<string, WatchedResource>;

/** By type: the types of whom the resources need it to be there, in use. Clusters are no users of clusters, see above. */
const USERS: Readonly<Partial<Record<TypeUrl, readonly TypeUrl[]>>> = {
  [TypeUrl.cluster]: [
    TypeUrl.listener,
    TypeUrl.scopedRoute,
    TypeUrl.route,
    TypeUrl.virtualHost,
    TypeUrl.extensionConfig,
  ],
  [TypeUrl.endpoints]: [TypeUrl.cluster],
  [TypeUrl.secret]: [TypeUrl.cluster, TypeUrl.listener],
  [TypeUrl.route]: [TypeUrl.listener, TypeUrl.scopedRoute],
  [TypeUrl.extensionConfig]: [TypeUrl.listener],
};

const CLUSTER_USERS: ReadonlySet<TypeUrl> = new Set(USERS[TypeUrl.cluster]);

/** Whether a resource that is due must wait for an answer of the client to something else. */
export function mustWait(resource: Resource, watch: WatchedResource, watches: Watches): boolean {
  if (!CLUSTER_USERS.has(watch.typeUrl)) return false;
  if (waitsForClusters(resource, watch, watches)) return true;
  return watch.typeUrl === TypeUrl.extensionConfig && waitsForRoutes(resource, watch, watches);
}

/**
 * A resource waits while a cluster it names is not yet held by the client: until the client has answered the cluster response on its way, and, if
 * that answer was a rejection, for as long as the client has an older version to work with that does not name it.
 */
function waitsForClusters(resource: Resource, watch: WatchedResource, watches: Watches): boolean {
  const clusters = watches.get(TypeUrl.cluster);
  // A client that does not take clusters from this stream has them from elsewhere.
  if (clusters === undefined) return false;
  const { client } = clusters;
  const inFlight = clusters.outstanding.size > 0;
  const missing = clusterNames(resource).filter((name) => {
    // Nor does it wait for a cluster that it did not ask for (on-demand clusters).
    if (client.wanted(name) === undefined) return false;
    // Held is not enough while a response that takes the cluster away is on its way.
    return client.held(name) === undefined || (inFlight && client.sent(name) === undefined);
  });
  if (missing.length === 0) return false;
  if (inFlight) return true;
  const older = watch.client.held(resource.name);
  if (older === undefined) return false;
  // What the client works without already is no reason to keep a change from it: an Envoy that knows no pools gets all the rest.
  const named = clusterNames(older);
  return missing.some((name) => !named.includes(name));
}

/** A changed filter configuration may choose a route that is still on its way. */
function waitsForRoutes(resource: Resource, watch: WatchedResource, watches: Watches): boolean {
  if (watch.client.held(resource.name) === undefined) return false;
  const routes = watches.get(TypeUrl.route);
  if (routes === undefined) return false;
  if (routes.outstanding.size > 0) return true;
  if ((watches.get(TypeUrl.cluster)?.outstanding.size ?? 0) === 0) return false;
  for (const name of routes.client.pending()) {
    const route = routes.client.wanted(name);
    if (route !== undefined && waitsForClusters(route, routes, watches)) return true;
  }
  return false;
}

function clusterNames({ references }: Resource): readonly string[] {
  return references.filter(({ typeUrl }) => typeUrl === TypeUrl.cluster).map(({ name }) => name);
}

/**
 * Which of the resources that leave must stay, because something names them that the client still uses or is about to answer. What a reconnecting
 * client holds in an unknown version may name anything. O(held) when something leaves.
 */
export function stillUsed(typeUrl: TypeUrl, leaving: readonly string[], watches: Watches): ReadonlySet<string> {
  const used = new Set<string>();
  if (leaving.length === 0) return used;
  const asked = new Set(leaving);
  for (const userType of USERS[typeUrl] ?? []) {
    const watch = watches.get(userType);
    if (watch === undefined) continue;
    for (const { references } of inUse(watch)) {
      if (references === UNKNOWN_REFERENCES) return asked;
      for (const each of references) if (each.typeUrl === typeUrl && asked.has(each.name)) used.add(each.name);
    }
  }
  return used;
}

function* inUse(watch: WatchedResource): Iterable<Resource> {
  yield* watch.client.allHeld();
  for (const { resources } of watch.outstanding.values()) yield* resources;
}

/** What waits for the resources it names when it changes: Envoy does not ask for them by itself when it already had them. */
const AWAITED: ReadonlySet<TypeUrl> = new Set([TypeUrl.endpoints, TypeUrl.secret, TypeUrl.route]);

/**
 * Marks what must be sent again, unchanged, behind changed resources: a cluster or a listener that changed starts to warm and waits for its endpoints,
 * secrets or routes (measured: 15 s of warming without this), and a changed route configuration has lost its virtual hosts.
 */
export function repushBehind(changed: Iterable<Resource>, watches: Watches): void {
  for (const resource of changed) {
    for (const { typeUrl, name } of resource.references) {
      if (!AWAITED.has(typeUrl)) continue;
      const watch = watches.get(typeUrl);
      if (watch?.client.wanted(name) !== undefined) watch.again = withMember(watch.again, name);
    }
    if (resource.typeUrl === TypeUrl.route) repushHosts(resource.name, watches.get(TypeUrl.virtualHost));
  }
}

/**
 * Virtual hosts are named `<route configuration>/<host>`; a route configuration may have slashes in its name, a host has none. That there is none
 * without a name is as good an answer to a new route configuration as a host.
 */
export function namelessHost(route: string): string {
  return `${route}/`;
}

function repushHosts(route: string, hosts: WatchedResource | undefined): void {
  if (hosts === undefined) return;
  let none = true;
  for (const { name } of hosts.client.allSent()) {
    if (name.slice(0, name.lastIndexOf("/")) !== route || hosts.client.wanted(name) === undefined) continue;
    hosts.again = withMember(hosts.again, name);
    none = false;
  }
  if (none) hosts.replies = withMember(hosts.replies, namelessHost(route));
}
