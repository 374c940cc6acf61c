/**
 * TTL: a client drops a resource that it has not heard of for the time that came with it; heartbeats, which carry no body, keep it alive.
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#resource-ttl
 */
import type { Resource } from "../cache/index.ts";
import { withEntry, withoutEntry } from "./sparse.ts";
import type { WatchedResource } from "./watched-resource.ts";

/** Two heartbeats may be lost or late before the resource is. */
const BEATS_PER_TTL = 3;

/** A heartbeat goes out together with others that are due this part of their interval later: one response instead of many. */
const TOGETHER = 1 / 4;

const SUPPORTS_TTL = "xds.config.supports-resource-ttl";
const SUPPORTS_WRAPPED = "xds.config.supports-resource-in-sotw";

/** Whether a client knows TTLs, by `node.client_features`. In a state-of-the-world response they need a wrapper that it must know, too. */
export function supportsTtl(clientFeatures: readonly string[], variant: "sotw" | "delta"): boolean {
  return clientFeatures.includes(SUPPORTS_TTL) && (variant === "delta" || clientFeatures.includes(SUPPORTS_WRAPPED));
}

function interval({ ttlMs = 0 }: Resource): number {
  return ttlMs / BEATS_PER_TTL;
}

/** Notes that the client hears of these resources now, in whatever form. */
export function noteHeard(watch: WatchedResource, resources: Iterable<Resource>, now: number): void {
  for (const resource of resources) {
    if (resource.ttlMs !== undefined) watch.beats = withEntry(watch.beats, resource.name, now + interval(resource));
    else watch.beats = withoutEntry(watch.beats, resource.name);
  }
}

/** The heartbeats to send now. Heartbeats of what the client has no more are forgotten. O(resources with a TTL). */
export function dueBeats(watch: WatchedResource, now: number): readonly Resource[] {
  const due: Resource[] = [];
  let late = false;
  for (const [name, at] of watch.beats) {
    const resource = watch.client.held(name);
    if (resource === undefined && !isUnanswered(watch, name)) watch.beats = withoutEntry(watch.beats, name);
    // Before its answer it is not known which version it has.
    if (resource?.ttlMs === undefined || isUnanswered(watch, name)) continue;
    if (at <= now) late = true;
    if (at - interval(resource) * TOGETHER <= now) due.push(resource);
  }
  return late ? due : [];
}

/** When {@link dueBeats} has something next; what waits for an answer of the client is due with the answer. */
export function nextBeat(watch: WatchedResource): number | undefined {
  let next: number | undefined;
  for (const [name, at] of watch.beats) {
    if (watch.client.held(name)?.ttlMs === undefined || isUnanswered(watch, name)) continue;
    if (next === undefined || at < next) next = at;
  }
  return next;
}

function isUnanswered(watch: WatchedResource, name: string): boolean {
  for (const { resources } of watch.outstanding.values()) {
    if (resources.some((each) => each.name === name)) return true;
  }
  return false;
}
