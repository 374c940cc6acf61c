/**
 * The state-of-the-world protocol of one stream: pure state; requests and snapshots go in, responses come out. No gRPC, no clock, no timer.
 *
 * Nothing is queued. What is due is worked out from the difference between the snapshot and what the stream was sent, at the moment there
 * is room to send; so a slow client costs no memory, and of several changes it gets the newest only.
 *
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
 */
import { contentHash, type Resource, resourceList, type Snapshot } from "../cache/index.ts";
import type { DiscoveryRequest, PlannedResponse } from "./discovery.ts";
import { dueBeats, noteHeard } from "./heartbeats.ts";
import { mustWait, repushBehind, stillUsed } from "./ordering.ts";
import type { Received, Session, SessionOptions } from "./session.ts";
import { applySubscription, namesViolation, newsOf, ownName, StreamState } from "./stream-state.ts";
import { subscribes, updateSubscription } from "./subscription.ts";
import { applyAck, applyNack, applySent, isWhole, type WatchedResource } from "./watched-resource.ts";

/** What is due of a type. */
interface Due {
  readonly version: string;
  /** What it changes at the client. */
  readonly changed: readonly Resource[];
  readonly removed: readonly string[];
  readonly resources: readonly Resource[];
  readonly heartbeats: readonly Resource[];
}

export class SotwSession implements Session<DiscoveryRequest, PlannedResponse> {
  readonly variant = "sotw";
  readonly #state: StreamState;

  constructor(snapshot: Snapshot, options: SessionOptions = {}) {
    this.#state = new StreamState(snapshot, options);
  }

  get watches(): ReadonlyMap<string, Readonly<WatchedResource>> {
    return this.#state.watches;
  }

  publish(snapshot: Snapshot): void {
    this.#state.publish(snapshot);
  }

  receive(request: DiscoveryRequest, now: number): Received {
    const type = this.#state.typeOf(request.typeUrl);
    if ("refused" in type) return type.refused;
    const { typeUrl } = type;
    const { resourceNames } = request;
    const sameNames = this.#state.watches.get(typeUrl)?.lastNames === resourceNames;
    const beyond = sameNames ? undefined : namesViolation(resourceNames);
    if (beyond !== undefined) return beyond;

    const isFirst = !this.#state.watches.has(typeUrl);
    const watch = this.#state.watch(typeUrl, request.versionInfo);
    if (isFirst) watch.answerDue = isWhole(watch);
    // Only the latest nonce counts; the names in this request come again with the answer to the latest response.
    else if (request.responseNonce !== watch.nonce) return { kind: "stale" };
    if (!sameNames) {
      const wildcardType = this.#state.isWildcardType(typeUrl);
      applySubscription(watch, updateSubscription(watch.subscription, resourceNames, wildcardType, ownName(watch)));
      watch.lastNames = resourceNames;
    }
    if (isFirst) return { kind: "subscribe" };
    const answered = watch.inFlight;
    if (request.errorDetail !== undefined) {
      return { kind: "nack", nack: applyNack(watch, answered, request.errorDetail, now) };
    }
    if (answered === undefined) return { kind: "subscribe" };
    applyAck(watch, answered);
    return { kind: "ack" };
  }

  next(now = 0): PlannedResponse | undefined {
    for (const watch of this.#state.watches.values()) {
      if (watch.outstanding.size > 0) continue;
      const due = isWhole(watch) ? this.#dueWhole(watch, now) : this.#duePartial(watch, now);
      if (due !== undefined) return this.#send(watch, due, now);
    }
    return undefined;
  }

  nextDeadline(): number | undefined {
    return this.#state.nextDeadline(
      (watch) => watch.outstanding.size === 0 && (isWhole(watch) || watch.ackedVersion !== ""),
    );
  }

  #send(
    watch: WatchedResource,
    { version, changed, removed, resources, heartbeats }: Due,
    now: number,
  ): PlannedResponse {
    const { typeUrl } = watch;
    const { ttl } = this.#state;
    // A client that reconnects with this very state has it all.
    const isNews = watch.nonce !== "" || watch.claimedVersion !== version;
    const news = isNews ? newsOf(watch.client, changed) : [];
    const nonce = this.#state.nextNonce();
    applySent(watch, { version, nonce, resources: changed, removed, ...(isWhole(watch) ? { whole: resources } : {}) });
    if (ttl) noteHeard(watch, [...resources, ...heartbeats], now);
    repushBehind(news, this.#state.watches);
    return { typeUrl, version, nonce, resources, heartbeats, ttl };
  }

  /** A response that carries everything, because absence means removal; so what must wait is carried as the client has it. */
  #dueWhole(watch: WatchedResource, now: number): Due | undefined {
    const { client, subscription } = watch;
    const { offered } = client;
    if (client.pendingCount === 0 && !watch.answerDue && !(this.#state.ttl && watch.beats.size > 0)) return undefined;
    const changed: Resource[] = [];
    const leaving: string[] = [];
    /** What is carried otherwise than it is offered; undefined: not at all. */
    const deferred = new Map<string, Resource | undefined>();
    for (const name of client.pending()) {
      const wanted = client.wanted(name);
      if (wanted === undefined) leaving.push(name);
      else if (mustWait(wanted, watch, this.#state.watches)) deferred.set(name, client.sent(name));
      else changed.push(wanted);
    }
    const retained = stillUsed(watch.typeUrl, leaving, this.#state.watches);
    for (const name of retained) deferred.set(name, client.sent(name));
    const removed = leaving.filter((name) => !retained.has(name));

    // What the first answer leaves out is gone at a client that reconnects.
    if (watch.nonce === "" && deferred.size > 0) return undefined;
    // A response without bodies would be one that removes everything: the TTLs of whole types are renewed by the whole.
    const beatDue = this.#state.ttl && dueBeats(watch, now).length > 0;
    if (changed.length === 0 && removed.length === 0 && !watch.answerDue && !beatDue) return undefined;

    if (subscription.wildcard && deferred.size === 0) {
      return { version: offered.version, changed, removed, resources: resourceList(offered), heartbeats: [] };
    }
    const resources: Resource[] = [];
    for (const resource of offered.resources.values()) {
      const carried = deferred.has(resource.name) ? deferred.get(resource.name) : resource;
      if (carried !== undefined && (subscription.wildcard || subscribes(subscription, resource)))
        resources.push(carried);
    }
    for (const name of retained) {
      const kept = client.sent(name);
      if (kept !== undefined) resources.push(kept);
    }
    // With deferred resources the content is not that of the snapshot, so the version must not be either.
    const others = [...deferred].map(([name, carried]) => `${name}\0${carried?.version ?? ""}\n`).sort();
    const version = deferred.size === 0 ? offered.version : contentHash(offered.version + others.join(""));
    return { version, changed, removed, resources, heartbeats: [] };
  }

  /** A response that carries only what changed; absence means nothing. */
  #duePartial(watch: WatchedResource, now: number): Due | undefined {
    const changed = this.#ready(watch);
    if (changed.length > 0) {
      const { version, resources } = watch.client.offered;
      const all = changed.length === resources.size ? resourceList(watch.client.offered) : changed;
      return { version, changed: all, removed: [], resources: all, heartbeats: [] };
    }
    // The client takes a resource without body for a heartbeat only under the version that it accepted last.
    const heartbeats = this.#state.ttl && watch.ackedVersion !== "" ? dueBeats(watch, now) : [];
    if (heartbeats.length === 0) return undefined;
    return { version: watch.ackedVersion, changed: [], removed: [], resources: [], heartbeats };
  }

  /** What may be sent of what is pending or to be sent again. */
  #ready(watch: WatchedResource): readonly Resource[] {
    const { client, again } = watch;
    const { watches } = this.#state;
    const mayGo = (resource: Resource) => !mustWait(resource, watch, watches);
    const { news } = client;
    // The array that other streams send, too, if it is all.
    const ready = news.every(mayGo) ? news : news.filter(mayGo);
    if (again.size === 0) return ready;
    const pending = new Set(client.pending());
    const repeated: Resource[] = [];
    for (const name of again) {
      const wanted = pending.has(name) ? undefined : client.wanted(name);
      if (wanted !== undefined && mayGo(wanted)) repeated.push(wanted);
    }
    return repeated.length === 0 ? ready : [...ready, ...repeated];
  }
}
