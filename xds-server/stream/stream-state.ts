/**
 * What the two variants have in common: the watched types of one stream, what of them is served, and the bounds on what a client may ask for.
 */
import type { TypeUrl } from "../../protos/index.ts";
import {
  canonicalName,
  isKnownType,
  PUSH_ORDER,
  type Resource,
  type Snapshot,
  typeSnapshot,
  WILDCARD_TYPES,
} from "../cache/index.ts";
import type { ClientResources } from "./client-resources.ts";
import { nextBeat } from "./heartbeats.ts";
import { MAX_RESOURCE_NAME_LENGTH, MAX_RESOURCE_NAMES } from "./limits.ts";
import type { Received, SessionOptions } from "./session.ts";
import { withoutMember } from "./sparse.ts";
import type { Subscription } from "./subscription.ts";
import { forgiveNacks, WatchedResource } from "./watched-resource.ts";

export type Violation = Extract<Received, { kind: "violation" }>;

export class StreamState {
  /** In push order. */
  readonly watches = new Map<string, WatchedResource>();
  readonly #options: SessionOptions;
  #snapshot: Snapshot;
  #nonces = 0;

  constructor(snapshot: Snapshot, options: SessionOptions) {
    this.#snapshot = snapshot;
    this.#options = options;
  }

  get ttl(): boolean {
    return this.#options.ttl === true;
  }

  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    for (const watch of this.watches.values()) {
      watch.client = watch.client.afterOffer(typeSnapshot(snapshot, watch.typeUrl));
      forgiveNacks(watch);
    }
  }

  /** The type of a request, or what is to be answered instead of serving it. */
  typeOf(typeUrl: string): { readonly typeUrl: TypeUrl } | { readonly refused: Received } {
    const { onlyType } = this.#options;
    if (onlyType !== undefined) {
      if (typeUrl === "" || typeUrl === onlyType) return { typeUrl: onlyType };
      return { refused: violation("INVALID_ARGUMENT", `this service serves ${onlyType} only`) };
    }
    if (typeUrl === "") return { refused: violation("INVALID_ARGUMENT", "type_url is missing") };
    return isKnownType(typeUrl) ? { typeUrl } : { refused: { kind: "unknown-type" } };
  }

  /** The watch of a type, made when it is not there yet. */
  watch(typeUrl: TypeUrl, claimedVersion = ""): WatchedResource {
    let watch = this.watches.get(typeUrl);
    if (watch === undefined) {
      watch = new WatchedResource(typeUrl, typeSnapshot(this.#snapshot, typeUrl), claimedVersion);
      this.#insert(watch);
    }
    return watch;
  }

  /** Keeps the watches in push order: they are gone through for every response, and are made once. */
  #insert(watch: WatchedResource): void {
    const all = new Map(this.watches).set(watch.typeUrl, watch);
    this.watches.clear();
    for (const typeUrl of PUSH_ORDER) {
      const each = all.get(typeUrl);
      if (each !== undefined) this.watches.set(typeUrl, each);
    }
  }

  /** All resources of a type, whether or not this client asked for them. */
  offered(typeUrl: TypeUrl): Iterable<Resource> {
    return typeSnapshot(this.#snapshot, typeUrl).resources.values();
  }

  isWildcardType(typeUrl: TypeUrl): boolean {
    return WILDCARD_TYPES.has(typeUrl);
  }

  /** Unique on the stream, over all types. */
  nextNonce(): string {
    return (++this.#nonces).toString(16);
  }

  /** The earliest heartbeat of the types that may be sent something now. */
  nextDeadline(ready: (watch: WatchedResource) => boolean): number | undefined {
    if (!this.ttl) return undefined;
    let next: number | undefined;
    for (const watch of this.watches.values()) {
      if (watch.beats.size === 0 || !ready(watch)) continue;
      const beat = nextBeat(watch);
      if (beat !== undefined && (next === undefined || beat < next)) next = beat;
    }
    return next;
  }
}

/** The server's own copy of a name: of a thousand streams that ask for it, each brings one of its own. */
export function ownName(watch: WatchedResource): (name: string) => string {
  const { resources } = watch.client.offered;
  return (name) => resources.get(name)?.name ?? canonicalName(name);
}

/** What of this the client was not sent in this version. */
export function newsOf(client: ClientResources, resources: readonly Resource[]): readonly Resource[] {
  if (resources === client.news) return resources;
  return resources.filter(({ name, version }) => client.sent(name)?.version !== version);
}

/** Takes over a new subscription and forgets what concerned only the old one. For the other arguments see `ClientResources.afterResubscribe`. */
export function applySubscription(
  watch: WatchedResource,
  next: Subscription,
  known?: ReadonlyMap<string, string>,
  onTheirWay?: ReadonlyMap<string, Resource>,
): void {
  if (next === watch.subscription) return;
  watch.client = watch.client.afterResubscribe(next, known, onTheirWay);
  for (const name of watch.again) {
    if (watch.client.wanted(name) === undefined) watch.again = withoutMember(watch.again, name);
  }
  forgiveNacks(watch);
}

/** The first name or list that is beyond the bounds. */
export function namesViolation(...lists: readonly (readonly string[])[]): Violation | undefined {
  for (const names of lists) {
    if (names.length > MAX_RESOURCE_NAMES) return tooManyNames();
    for (const name of names) {
      if (name.length > MAX_RESOURCE_NAME_LENGTH) return violation("INVALID_ARGUMENT", "resource name too long");
    }
  }
  return undefined;
}

export function tooManyNames(): Violation {
  return violation("RESOURCE_EXHAUSTED", `more than ${MAX_RESOURCE_NAMES} resource names`);
}

export function violation(code: Violation["code"], message: string): Violation {
  return { kind: "violation", code, message };
}
