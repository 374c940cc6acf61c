/**
 * What one client has of one type, kept as its differences from what is offered:
 *
 *   offered  the snapshot of the type, shared by all streams
 *   sent     what the client was last sent, accepted or not  = the subscribed part of offered, but for #sent
 *   held     what it accepted and works with                 = sent, but for #held
 *
 * So a stream that is up to date keeps nothing, a change costs what changed, and what is due is what #sent names. A rejected resource is in #held
 * and not in #sent: it is not sent again until it changes.
 */
import { TypeUrl } from "../../protos/index.ts";
import {
  collectionMembers,
  isCollection,
  type Reference,
  type Resource,
  resourceNamed,
  type TypeSnapshot,
  typeChanges,
} from "../cache/index.ts";
import { INITIAL_SUBSCRIPTION, type Subscription, subscribes } from "./subscription.ts";

/** The references of a resource that only the client knows. */
export const UNKNOWN_REFERENCES: readonly Reference[] = [];

/**
 * A resource that a reconnecting client says it has, in a version that this server does not offer.
 * @param aliases those of the version that is offered, which are most likely its own: by them it is known what of the client's names it belongs to
 */
export function unknownResource(
  typeUrl: TypeUrl,
  name: string,
  version: string,
  aliases: readonly string[] = [],
): Resource {
  return { typeUrl, name, version, any: new Uint8Array(), references: UNKNOWN_REFERENCES, aliases };
}

const NOTHING_KNOWN: ReadonlyMap<string, string> = new Map();

export class ClientResources {
  #offered: TypeSnapshot;
  #subscription: Subscription = INITIAL_SUBSCRIPTION;
  /** By resource name; undefined: the client was not sent it, or was told that it is gone. */
  readonly #sent = new Map<string, Resource | undefined>();
  readonly #held = new Map<string, Resource | undefined>();
  /** What a reconnecting client has and none of its names leads to: virtual hosts by an alias that they do not have any more. */
  readonly #unasked = new Set<string>();

  readonly typeUrl: TypeUrl;

  constructor(typeUrl: TypeUrl, offered: TypeSnapshot) {
    this.typeUrl = typeUrl;
    this.#offered = offered;
  }

  get offered(): TypeSnapshot {
    return this.#offered;
  }

  get subscription(): Subscription {
    return this.#subscription;
  }

  /** Names of the resources that differ from what was sent. What is to be done about each depends on the variant. */
  pending(): Iterable<string> {
    return this.#sent.keys();
  }

  /** The resource of this name that the client should have. */
  wanted(name: string): Resource | undefined {
    const resource = this.#offered.resources.get(name);
    if (resource === undefined) return undefined;
    return this.#sent.has(name) || subscribes(this.#subscription, resource) ? resource : undefined;
  }

  sent(name: string): Resource | undefined {
    if (this.#sent.has(name)) return this.#sent.get(name);
    const resource = this.#offered.resources.get(name);
    return resource !== undefined && subscribes(this.#subscription, resource) ? resource : undefined;
  }

  held(name: string): Resource | undefined {
    return this.#held.has(name) ? this.#held.get(name) : this.sent(name);
  }

  /** Everything that was sent. O(subscribed). */
  *allSent(): Iterable<Resource> {
    for (const resource of this.#wantedResources()) if (!this.#sent.has(resource.name)) yield resource;
    for (const resource of this.#sent.values()) if (resource !== undefined) yield resource;
  }

  /** Everything that the client works with. O(subscribed). */
  *allHeld(): Iterable<Resource> {
    for (const resource of this.allSent()) if (!this.#held.has(resource.name)) yield resource;
    for (const resource of this.#held.values()) if (resource !== undefined) yield resource;
  }

  *#wantedResources(): Iterable<Resource> {
    const { wildcard, names } = this.#subscription;
    if (wildcard) {
      yield* this.#offered.resources.values();
      return;
    }
    const seen = new Set<Resource>();
    for (const name of names) {
      for (const resource of this.named(name)) {
        if (seen.has(resource)) continue;
        seen.add(resource);
        yield resource;
      }
    }
  }

  /** The offered resources that a name of a subscription stands for. */
  named(name: string): readonly Resource[] {
    if (isCollection(name)) return collectionMembers(this.#offered, name);
    const resource = resourceNamed(this.#offered, name);
    return resource === undefined ? [] : [resource];
  }

  /** Takes over a new state of the type. O(changes). */
  offer(next: TypeSnapshot): void {
    const before = this.#offered;
    if (next === before) return;
    const { changed, removed } = typeChanges(before, next);
    for (const resource of changed) {
      const { name } = resource;
      const old = before.resources.get(name);
      if (this.#sent.has(name)) {
        if (this.#sent.get(name)?.version === resource.version) this.#sent.delete(name);
      } else if (old !== undefined && subscribes(this.#subscription, old)) {
        this.#sent.set(name, old);
      } else if (subscribes(this.#subscription, resource)) {
        this.#sent.set(name, undefined);
      }
    }
    for (const old of removed) {
      if (!this.#sent.has(old.name)) {
        if (subscribes(this.#subscription, old)) this.#sent.set(old.name, old);
        // What it does not ask for it has forgotten; it keeps nothing else in use.
        else this.#held.delete(old.name);
      } else if (this.#sent.get(old.name) === undefined) {
        this.#sent.delete(old.name);
      }
    }
    this.#offered = next;
  }

  /**
   * Takes over a new subscription. What it no longer names is forgotten, so that a later subscription to it is answered again; what it names now
   * is pending.
   * @param known versions that a reconnecting client has
   * @param onTheirWay what responses carry that the client has not answered: it may have it, whatever it unsubscribed in between
   */
  resubscribe(
    next: Subscription,
    known: ReadonlyMap<string, string> = NOTHING_KNOWN,
    onTheirWay: ReadonlyMap<string, Resource> = new Map(),
  ): void {
    const before = this.#subscription;
    if (next === before) return;
    this.#subscription = next;
    for (const map of [this.#sent, this.#held]) {
      for (const [name, resource] of map) if (!this.#isSubscribed(name, resource)) map.delete(name);
    }
    /** What newly came into the subscription is unsent, unless the client says that it has it. */
    const add = (resource: Resource) => {
      const { name } = resource;
      if (this.#sent.has(name) || subscribes(before, resource)) return;
      const version = known.get(name) ?? (onTheirWay.has(name) ? "" : undefined);
      if (version === resource.version) return;
      const had = version === undefined ? undefined : unknownResource(this.typeUrl, name, version, resource.aliases);
      this.#sent.set(name, had);
    };
    if (next.wildcard && !before.wildcard) {
      for (const resource of this.#offered.resources.values()) add(resource);
    } else if (!next.wildcard) {
      for (const name of next.names) {
        if (before.names.has(name)) continue;
        for (const resource of this.named(name)) add(resource);
      }
    }
    for (const [name, resource] of onTheirWay) {
      // Offered no more, so it is to be told that it is gone.
      if (!this.#offered.resources.has(name) && !this.#sent.has(name) && subscribes(next, resource))
        this.#sent.set(name, resource);
    }
    for (const [name, version] of known) {
      const resource = this.#offered.resources.get(name);
      if (resource !== undefined && subscribes(next, resource)) continue;
      if (resource?.version === version) continue;
      if (this.typeUrl === TypeUrl.virtualHost) this.#unasked.add(name);
      if (this.#isSubscribed(name, resource)) this.#sent.set(name, unknownResource(this.typeUrl, name, version));
    }
  }

  /** @param resource what the client has of this name; it may be offered no more */
  #isSubscribed(name: string, resource: Resource | undefined): boolean {
    if (this.#unasked.has(name)) return true;
    const known = resource ?? this.#offered.resources.get(name) ?? unknownResource(this.typeUrl, name, "");
    return subscribes(this.#subscription, known);
  }

  /** Notes that a resource, or (undefined) the word that it is gone, was sent. */
  markSent(name: string, resource: Resource | undefined): void {
    const before = this.sent(name);
    if (!this.#held.has(name) && before?.version !== resource?.version) this.#held.set(name, before);
    if (this.#offered.resources.get(name)?.version === resource?.version) this.#sent.delete(name);
    else this.#sent.set(name, resource);
    this.#unasked.delete(name);
  }

  /** Notes that the client accepted what it was sent under this name, which may not be the newest. */
  accept(name: string, resource: Resource | undefined): void {
    if (this.sent(name)?.version === resource?.version) this.#held.delete(name);
    else if (this.#isSubscribed(name, resource)) this.#held.set(name, resource);
    else this.#held.delete(name);
  }

  /** Notes that the client accepted all it was sent, but for these names. */
  acceptAll(except: ReadonlySet<string> = new Set()): void {
    for (const name of this.#held.keys()) if (!except.has(name)) this.#held.delete(name);
  }
}
