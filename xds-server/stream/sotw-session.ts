/**
 * The state-of-the-world protocol of one aggregated stream: pure state; requests and snapshots go in, responses come out. No gRPC, no clock,
 * no timer.
 *
 * Nothing is queued. What is due is worked out from the difference between the snapshot and what the stream was sent, at the moment there
 * is room to send; so a slow client costs no memory, and of several changes it gets the newest only.
 *
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
 */
import { TypeUrl } from "../../protos/index.ts";
import {
  contentHash,
  FULL_STATE_TYPES,
  isKnownType,
  PUSH_ORDER,
  type Resource,
  type ResourceMap,
  type Snapshot,
  typeSnapshot,
  WILDCARD_TYPES,
} from "../cache/index.ts";
import type { DiscoveryRequest, PlannedResponse } from "./discovery.ts";
import { MAX_RESOURCE_NAME_LENGTH, MAX_RESOURCE_NAMES } from "./limits.ts";
import type { Nack } from "./nack.ts";
import { dependentsOf, retainedClusters, waitsForClusters } from "./ordering.ts";
import { isSubscribed, updateSubscription } from "./subscription.ts";
import {
  applyAck,
  applyNack,
  applySent,
  applySubscription,
  type InFlight,
  type WatchedResource,
  watchResource,
} from "./watched-resource.ts";

/** What a request turned out to be. */
export type Received =
  | { readonly kind: "subscribe" | "ack" | "stale" | "unknown-type" }
  | { readonly kind: "nack"; readonly nack: Nack }
  | { readonly kind: "violation"; readonly code: "INVALID_ARGUMENT" | "RESOURCE_EXHAUSTED"; readonly message: string };

export class SotwSession {
  #snapshot: Snapshot;
  #nonces = 0;
  readonly #watches = new Map<string, WatchedResource>();
  /** version_info of the first request of a type: what a client that reconnects still has. */
  readonly #reconnectVersions = new Map<string, string>();

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  /** The watched types, for the admin API. */
  get watches(): ReadonlyMap<string, Readonly<WatchedResource>> {
    return this.#watches;
  }

  /** Takes a new snapshot; what follows from it comes out of {@link next}. */
  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
  }

  /**
   * Takes a request of the client.
   * @param now milliseconds since the epoch, for the record of a NACK
   */
  receive(request: DiscoveryRequest, now: number): Received {
    const { typeUrl, resourceNames } = request;
    if (typeUrl === "") return { kind: "violation", code: "INVALID_ARGUMENT", message: "type_url is missing" };
    if (resourceNames.length > MAX_RESOURCE_NAMES) {
      return {
        kind: "violation",
        code: "RESOURCE_EXHAUSTED",
        message: `more than ${MAX_RESOURCE_NAMES} resource names`,
      };
    }
    if (resourceNames.some((name) => name.length > MAX_RESOURCE_NAME_LENGTH)) {
      return { kind: "violation", code: "INVALID_ARGUMENT", message: "resource name too long" };
    }
    if (!isKnownType(typeUrl)) return { kind: "unknown-type" };

    const known = this.#watches.get(typeUrl);
    const watch = known ?? watchResource(typeUrl);
    if (known === undefined) {
      this.#watches.set(typeUrl, watch);
      this.#reconnectVersions.set(typeUrl, request.versionInfo);
    } else if (request.responseNonce !== watch.nonce) {
      // Only the latest nonce counts; the names in this request come again with the answer to the latest response.
      return { kind: "stale" };
    }
    applySubscription(watch, updateSubscription(watch.subscription, resourceNames, WILDCARD_TYPES.has(typeUrl)));
    if (known === undefined) return { kind: "subscribe" };
    if (request.errorDetail !== undefined) {
      return { kind: "nack", nack: applyNack(watch, request.errorDetail, now) };
    }
    if (watch.inFlight === undefined) return { kind: "subscribe" };
    applyAck(watch);
    return { kind: "ack" };
  }

  /** The next response that is due, which thereby counts as sent; undefined when there is none. Call it until then, or until the transport is full. */
  next(): PlannedResponse | undefined {
    for (const typeUrl of PUSH_ORDER) {
      const watch = this.#watches.get(typeUrl);
      if (watch === undefined || watch.inFlight !== undefined) continue;
      const due = FULL_STATE_TYPES.has(typeUrl) ? this.#dueFullState(watch) : this.#duePartial(watch);
      if (due !== undefined) return this.#send(watch, due);
    }
    return undefined;
  }

  #send(watch: WatchedResource, due: InFlight): PlannedResponse {
    const { typeUrl, sent } = watch;
    const clientHasIt = this.#reconnectVersions.get(typeUrl) === due.version && watch.nonce === "";
    const changed = clientHasIt
      ? []
      : [...due.resources.values()].filter(({ name, version }) => sent.get(name)?.version !== version);
    applySent(watch, due, (++this.#nonces).toString(16));
    if (FULL_STATE_TYPES.has(typeUrl)) this.#repush(changed);
    return { typeUrl, version: due.version, nonce: watch.nonce, resources: [...due.resources.values()] };
  }

  /** Forgets that the dependents of changed resources were sent. */
  #repush(changed: readonly Resource[]): void {
    for (const [typeUrl, names] of dependentsOf(changed)) {
      const watch = this.#watches.get(typeUrl);
      if (watch === undefined) continue;
      watch.sent = new Map([...watch.sent].filter(([name]) => !names.has(name)));
    }
  }

  #dueFullState(watch: WatchedResource): InFlight | undefined {
    const { version } = typeSnapshot(this.#snapshot, watch.typeUrl);
    let wanted = this.#offered(watch);
    const retained = watch.typeUrl === TypeUrl.cluster ? retainedClusters(this.#watches, wanted) : [];
    if (retained.length > 0) wanted = new Map([...wanted, ...retained.map((each) => [each.name, each] as const)]);
    if (!watch.answerDue && sameResources(wanted, watch.sent)) return undefined;
    // With retained clusters the content is not that of the snapshot, so the version must not be either.
    const retainedVersion = retained.map((each) => `${each.name}\0${each.version}\n`).join("");
    return { version: retained.length > 0 ? contentHash(version + retainedVersion) : version, resources: wanted };
  }

  #duePartial(watch: WatchedResource): InFlight | undefined {
    const due = this.#unsent(watch).filter((resource) => !this.#mustWait(resource, watch));
    if (due.length === 0) return undefined;
    const { version } = typeSnapshot(this.#snapshot, watch.typeUrl);
    return { version, resources: new Map(due.map((resource) => [resource.name, resource])) };
  }

  /** Subscribed resources that changed since they were sent. */
  #unsent(watch: WatchedResource): readonly Resource[] {
    const unsent: Resource[] = [];
    const { resources } = typeSnapshot(this.#snapshot, watch.typeUrl);
    for (const name of watch.subscription.wildcard ? resources.keys() : watch.subscription.names) {
      const resource = resources.get(name);
      if (resource !== undefined && watch.sent.get(name)?.version !== resource.version) unsent.push(resource);
    }
    return unsent;
  }

  #mustWait(resource: Resource, watch: WatchedResource): boolean {
    if (watch.typeUrl === TypeUrl.route) return this.#waitsForClusters(resource, watch);
    if (watch.typeUrl !== TypeUrl.extensionConfig) return false;
    if (this.#waitsForClusters(resource, watch)) return true;
    if (!watch.held.has(resource.name)) return false;
    // A changed filter configuration may choose a route that is still on its way.
    const routes = this.#watches.get(TypeUrl.route);
    if (routes === undefined) return false;
    if (routes.inFlight !== undefined) return true;
    const clustersInFlight = this.#watches.get(TypeUrl.cluster)?.inFlight !== undefined;
    return clustersInFlight && this.#unsent(routes).some((each) => this.#waitsForClusters(each, routes));
  }

  #waitsForClusters(resource: Resource, watch: WatchedResource): boolean {
    const offered = typeSnapshot(this.#snapshot, TypeUrl.cluster).resources;
    return waitsForClusters(resource, watch, this.#watches, offered);
  }

  /** The subscribed part of the snapshot; the snapshot's own map under a wildcard. */
  #offered(watch: WatchedResource): ResourceMap {
    const { resources } = typeSnapshot(this.#snapshot, watch.typeUrl);
    if (watch.subscription.wildcard) return resources;
    return new Map([...resources].filter(([name]) => isSubscribed(watch.subscription, name)));
  }
}

function sameResources(a: ResourceMap, b: ResourceMap): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [name, { version }] of a) if (b.get(name)?.version !== version) return false;
  return true;
}
