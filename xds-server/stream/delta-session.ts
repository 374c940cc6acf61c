/**
 * The incremental protocol of one stream: pure state; requests and snapshots go in, responses come out. No gRPC, no clock, no timer.
 *
 * Nothing is queued. As in the state-of-the-world variant, at most one response of changes is unanswered per type, and of several changes the client
 * gets the newest only. A subscription is answered whatever is unanswered: Envoy holds requests up for it (on-demand clusters and hosts),
 * and may withhold an answer until it has what it asks for.
 *
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds
 */
import { TypeUrl } from "../../protos/index.ts";
import { canonicalName, isCollection, type Resource, resourceList, type Snapshot } from "../cache/index.ts";
import type { DeltaItem, DeltaRequest, PlannedDelta } from "./discovery.ts";
import { dueBeats, noteHeard } from "./heartbeats.ts";
import { MAX_OUTSTANDING, MAX_RESOURCE_NAMES } from "./limits.ts";
import { mustWait, namelessHost, repushBehind, stillUsed } from "./ordering.ts";
import type { Received, Session, SessionOptions } from "./session.ts";
import { withMember, withoutMember } from "./sparse.ts";
import { applySubscription, namesViolation, newsOf, ownName, StreamState, tooManyNames } from "./stream-state.ts";
import { changeSubscription } from "./subscription.ts";
import { applyAck, applyNack, applySent, type InFlight, type WatchedResource } from "./watched-resource.ts";

/**
 * Of these types nobody is told that a resource he asked for by name is gone: Envoy drops a filter configuration at once and answers 500 (measured on 1.40),
 * although the listener still names it. It keeps what it has until it does not ask for it any more.
 */
const NEVER_REMOVED: ReadonlySet<TypeUrl> = new Set([TypeUrl.extensionConfig, TypeUrl.secret]);

/** What is due of a type. */
interface Due {
  readonly changed: readonly Resource[];
  readonly removed: readonly string[];
  readonly missing: readonly string[];
  readonly heartbeats: readonly Resource[];
}

const OTHERWISE = Symbol("otherwise");
const NO_NAMES: readonly string[] = [];
const NO_HEARTBEATS: readonly Resource[] = [];

export class DeltaSession implements Session<DeltaRequest, PlannedDelta> {
  readonly variant = "delta";
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

  receive(request: DeltaRequest, now: number): Received {
    const type = this.#state.typeOf(request.typeUrl);
    if ("refused" in type) return type.refused;
    const { subscribe, unsubscribe, initialVersions, responseNonce, errorDetail } = request;
    const beyond = namesViolation(subscribe, unsubscribe, [...initialVersions.keys()]);
    if (beyond !== undefined) return beyond;

    const isFirst = !this.#state.watches.has(type.typeUrl);
    const watch = this.#state.watch(type.typeUrl);
    const answered = watch.outstanding.get(responseNonce);
    const nack =
      answered !== undefined && errorDetail !== undefined ? applyNack(watch, answered, errorDetail, now) : undefined;
    if (answered !== undefined && errorDetail === undefined) applyAck(watch, answered);
    this.#subscribe(watch, request, isFirst);
    if (watch.subscription.names.size > MAX_RESOURCE_NAMES || watch.replies.size > MAX_RESOURCE_NAMES) {
      return tooManyNames();
    }
    if (nack !== undefined) return { kind: "nack", nack };
    if (answered !== undefined) return { kind: "ack" };
    return { kind: responseNonce === "" || isFirst ? "subscribe" : "stale" };
  }

  #subscribe(watch: WatchedResource, { subscribe, unsubscribe, initialVersions }: DeltaRequest, first: boolean): void {
    const before = watch.subscription;
    const wildcardType = this.#state.isWildcardType(watch.typeUrl);
    const next = changeSubscription(before, { subscribe, unsubscribe, first }, wildcardType, ownName(watch));
    const known = first ? canonicalKeys(initialVersions) : undefined;
    if (next !== before) applySubscription(watch, next, known, onTheirWay(watch));
    const { client } = watch;
    // Envoy's start waits for the first answer to a wildcard; an Envoy that has something has started.
    if (next.wildcard && !before.wildcard && (known?.size ?? 0) === 0) watch.answerDue = true;
    if (first && subscribe.length === 0 && watch.typeUrl === TypeUrl.virtualHost) this.#announceNoHosts(watch);
    for (const each of unsubscribe) {
      const name = canonicalName(each);
      if (!before.names.has(name) || next.names.has(name)) continue;
      watch.replies = withoutMember(watch.replies, name);
      // The client cannot tell whether the wildcard covers the name: it has to be told.
      if (next.wildcard) watch.replies = withMember(watch.replies, name);
    }
    for (const each of subscribe) {
      const name = canonicalName(each);
      if (!next.names.has(name)) continue;
      const offered = client.named(name);
      // What a reconnecting client has is no part of the answer.
      if (!first || offered.length === 0 || offered.some((one) => client.sent(one.name) !== one)) {
        watch.replies = withMember(watch.replies, name);
      }
    }
  }

  /**
   * Envoy asks for virtual hosts before it knows which, and its listener waits for an answer that concerns the route configuration (measured: 15 s).
   * An empty answer concerns none; the word that there is no host without a name does.
   */
  #announceNoHosts(hosts: WatchedResource): void {
    const routes = this.#state.watches.get(TypeUrl.route)?.client;
    for (const { name } of this.#state.offered(TypeUrl.route)) {
      if (routes !== undefined && routes.wanted(name) === undefined) continue;
      hosts.replies = withMember(hosts.replies, namelessHost(name));
    }
  }

  next(now = 0): PlannedDelta | undefined {
    for (const watch of this.#state.watches.values()) {
      if (watch.outstanding.size >= MAX_OUTSTANDING) continue;
      const due = this.#due(watch, now);
      if (due !== undefined) return this.#send(watch, due, now);
    }
    return undefined;
  }

  nextDeadline(): number | undefined {
    return this.#state.nextDeadline(({ outstanding }) => outstanding.size < MAX_OUTSTANDING);
  }

  #due(watch: WatchedResource, now: number): Due | undefined {
    const { client, again, replies, outstanding } = watch;
    const isFree = outstanding.size === 0;
    const simple = this.#dueSimply(watch, isFree);
    if (simple !== OTHERWISE) return simple;
    const names = new Set(isFree ? client.pending() : []);
    if (isFree) for (const name of again) names.add(name);
    const absent: string[] = [];
    for (const reply of replies) {
      const offered = client.named(reply);
      // A name is answered although the client has it, which may have forgotten it; a collection with what it does not have.
      const due = isCollection(reply) ? offered.filter((each) => client.sent(each.name) !== each) : offered;
      for (const { name } of due) names.add(name);
      if (offered.length === 0 && client.sent(reply) === undefined) absent.push(reply);
      else if (offered.length === 0) names.add(reply);
    }

    const changed: Resource[] = [];
    const leaving: string[] = [];
    const waiting = new Set<Resource>();
    for (const name of names) {
      const wanted = client.wanted(name);
      if (wanted === undefined) {
        if (client.sent(name) !== undefined) leaving.push(name);
      } else if (mustWait(wanted, watch, this.#state.watches)) waiting.add(wanted);
      else changed.push(wanted);
    }
    const byName = (name: string) => watch.subscription.names.has(name);
    const isKept = (name: string) => NEVER_REMOVED.has(watch.typeUrl) && byName(name);
    const unheard = [...watch.unheard].filter((name) => client.wanted(name) === undefined);
    const retained = stillUsed(watch.typeUrl, [...leaving, ...unheard], this.#state.watches);
    const mayGo = (name: string) => !retained.has(name) && !isKept(name);
    const removed = leaving.filter(mayGo);
    const missing: string[] = [];
    for (const name of absent) {
      if (watch.typeUrl === TypeUrl.virtualHost) missing.push(name);
      else if (!isKept(name)) removed.push(name);
    }
    // Answered, with whatever there is to say, but for what waits.
    for (const reply of replies) {
      if (!client.named(reply).some((each) => waiting.has(each))) watch.replies = withoutMember(watch.replies, reply);
    }
    const heartbeats = this.#state.ttl ? this.#heartbeats(watch, changed, now) : [];
    const isEmpty = changed.length + removed.length + missing.length + heartbeats.length === 0;
    // The first answer has nothing to say only when nothing is about to come.
    if (isEmpty && !(watch.answerDue && isFree && waiting.size === 0)) return undefined;
    for (const name of unheard) if (mayGo(name) && !removed.includes(name)) removed.push(name);
    return { changed, removed, missing, heartbeats };
  }

  /** What is due when nothing but changes of offered resources is, which is nearly always; {@link OTHERWISE} when it takes a closer look. */
  #dueSimply(watch: WatchedResource, isFree: boolean): Due | undefined | typeof OTHERWISE {
    const { client, again, replies, unheard, beats, answerDue } = watch;
    if (again.size + replies.size + unheard.size > 0 || (this.#state.ttl && beats.size > 0)) return OTHERWISE;
    if (!isFree || client.pendingCount === 0) return answerDue ? OTHERWISE : undefined;
    const { news } = client;
    const { watches } = this.#state;
    if (news.length < client.pendingCount || news.some((each) => mustWait(each, watch, watches))) return OTHERWISE;
    return { changed: news, removed: NO_NAMES, missing: NO_NAMES, heartbeats: NO_HEARTBEATS };
  }

  #heartbeats(watch: WatchedResource, changed: readonly Resource[], now: number): readonly Resource[] {
    const due = dueBeats(watch, now);
    if (due.length === 0 || changed.length === 0) return due;
    const carried = new Set(changed.map(({ name }) => name));
    return due.filter(({ name }) => !carried.has(name));
  }

  #send(watch: WatchedResource, { changed, removed, missing, heartbeats }: Due, now: number): PlannedDelta {
    const { typeUrl, client } = watch;
    const { ttl, watches } = this.#state;
    const news = newsOf(client, changed);
    const nonce = this.#state.nextNonce();
    const systemVersion = client.offered.version;
    const inFlight: InFlight = { version: systemVersion, nonce, resources: changed, removed };
    applySent(watch, inFlight);
    if (ttl) noteHeard(watch, [...changed, ...heartbeats], now);
    repushBehind(news, watches);
    const isAll = changed.length > 1 && changed.length === client.offered.resources.size;
    const resources: readonly DeltaItem[] =
      missing.length + heartbeats.length === 0
        ? isAll
          ? resourceList(client.offered)
          : changed
        : [
            ...changed,
            ...missing.map((name) => ({ missing: name, aliases: [name] })),
            ...heartbeats.map((heartbeat) => ({ heartbeat })),
          ];
    return { typeUrl, systemVersion, nonce, resources, removed, ttl };
  }
}

function onTheirWay({ outstanding }: WatchedResource): ReadonlyMap<string, Resource> {
  const resources = new Map<string, Resource>();
  for (const response of outstanding.values()) for (const each of response.resources) resources.set(each.name, each);
  return resources;
}

function canonicalKeys(versions: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...versions].map(([name, version]) => [canonicalName(name), version]));
}
