/**
 * What one client has of one type, kept as its differences from what is offered:
 *
 *   offered  the snapshot of the type, shared by all streams
 *   sent     what the client was last sent, accepted or not  = the subscribed part of offered, but for #sent
 *   held     what it accepted and works with                 = sent, but for #held
 *
 * So a stream that is up to date keeps nothing, a change costs what changed, and what is due is what #sent names. A rejected resource is in #held
 * and not in #sent: it is not sent again until it changes.
 *
 * It is a value: what happens to a client makes another one of it. Most streams of a group are in the same state and the same happens to them, so the
 * first of them works the next state out, and the others find it there: a change costs each further stream a few comparisons, whatever changed.
 */
import { TypeUrl } from "../../protos/index.ts";
import {
  collectionMembers,
  isCollection,
  type Reference,
  type Resource,
  resourceList,
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
const NOTHING_ON_ITS_WAY: ReadonlyMap<string, Resource> = new Map();

/** By resource name; undefined: the client was not sent it, or was told that it is gone. */
type Differences = ReadonlyMap<string, Resource | undefined>;

const NO_DIFFERENCES: Differences = new Map();
const NO_NAMES: readonly string[] = [];
const NO_SET: ReadonlySet<string> = new Set();
const NONE: readonly Resource[] = [];

interface Content {
  readonly typeUrl: TypeUrl;
  readonly offered: TypeSnapshot;
  readonly subscription: Subscription;
  readonly sent: Differences;
  readonly held: Differences;
  /** What a reconnecting client has and none of its names leads to: virtual hosts by an alias that they do not have any more. */
  readonly unasked: ReadonlySet<string>;
  /** What the response on its way carries, when its list is one that other streams have too. */
  readonly carried: readonly Resource[];
}

/** States without differences, of which there is one for all streams with this subscription. */
const upToDate = new WeakMap<TypeSnapshot, WeakMap<Subscription, ClientResources>>();

export class ClientResources {
  readonly typeUrl: TypeUrl;
  readonly offered: TypeSnapshot;
  readonly subscription: Subscription;
  readonly #sent: Differences;
  readonly #held: Differences;
  readonly #unasked: ReadonlySet<string>;
  readonly #carried: readonly Resource[];
  #news: readonly Resource[] | undefined;
  /**
   * States that followed from this one, for the next stream to which the same happens. Weak: streams that stay behind, such as those of another group,
   * would keep alive all that came after.
   */
  #afterOffer: WeakRef<ClientResources> | undefined;
  #afterResubscribe: WeakRef<ClientResources> | undefined;
  #afterSent: WeakRef<ClientResources> | undefined;
  #afterAccept: WeakRef<ClientResources> | undefined;

  private constructor({ typeUrl, offered, subscription, sent, held, unasked, carried }: Content) {
    this.typeUrl = typeUrl;
    this.offered = offered;
    this.subscription = subscription;
    this.#sent = sent;
    this.#held = held;
    this.#unasked = unasked;
    this.#carried = carried;
  }

  /** What a client has that has asked for nothing yet. */
  static initial(typeUrl: TypeUrl, offered: TypeSnapshot): ClientResources {
    const [sent, held, unasked, carried] = [NO_DIFFERENCES, NO_DIFFERENCES, NO_SET, NONE];
    return ClientResources.#of({ typeUrl, offered, subscription: INITIAL_SUBSCRIPTION, sent, held, unasked, carried });
  }

  static #of(content: Content): ClientResources {
    const { typeUrl, offered, subscription, sent, held, unasked } = content;
    if (sent.size + held.size + unasked.size > 0) return new ClientResources(content);
    const bySubscription = upToDate.get(offered) ?? new WeakMap<Subscription, ClientResources>();
    upToDate.set(offered, bySubscription);
    const known = bySubscription.get(subscription);
    // A subscription may be shared by types, and so may be what is offered: nothing.
    if (known?.typeUrl === typeUrl) return known;
    const [none, nobody] = [NO_DIFFERENCES, NO_SET];
    const fresh = new ClientResources({ ...content, sent: none, held: none, unasked: nobody, carried: NONE });
    bySubscription.set(subscription, fresh);
    return fresh;
  }

  #with(changes: Partial<Content>): ClientResources {
    const { typeUrl, offered, subscription } = this;
    const [sent, held, unasked, carried] = [this.#sent, this.#held, this.#unasked, this.#carried];
    return ClientResources.#of({ typeUrl, offered, subscription, sent, held, unasked, carried, ...changes });
  }

  /** Names of the resources that differ from what was sent. What is to be done about each depends on the variant. */
  pending(): Iterable<string> {
    return this.#sent.keys();
  }

  /** How many are {@link pending}. */
  get pendingCount(): number {
    return this.#sent.size;
  }

  /** What is pending and offered: the same array for all streams in this state, and that of `resourceList` when it is everything. */
  get news(): readonly Resource[] {
    if (this.#news === undefined) {
      const news: Resource[] = [];
      for (const name of this.#sent.keys()) {
        const resource = this.wanted(name);
        if (resource !== undefined) news.push(resource);
      }
      const isAll = news.length > 0 && news.length === this.offered.resources.size;
      this.#news = isAll ? resourceList(this.offered) : news;
    }
    return this.#news;
  }

  /** The resource of this name that the client should have. */
  wanted(name: string): Resource | undefined {
    const resource = this.offered.resources.get(name);
    if (resource === undefined) return undefined;
    return this.#sent.has(name) || subscribes(this.subscription, resource) ? resource : undefined;
  }

  sent(name: string): Resource | undefined {
    if (this.#sent.has(name)) return this.#sent.get(name);
    const resource = this.offered.resources.get(name);
    return resource !== undefined && subscribes(this.subscription, resource) ? resource : undefined;
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
    const { wildcard, names } = this.subscription;
    if (wildcard) {
      yield* this.offered.resources.values();
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
    if (isCollection(name)) return collectionMembers(this.offered, name);
    const resource = resourceNamed(this.offered, name);
    return resource === undefined ? [] : [resource];
  }

  /** After a new state of the type. O(changes + pending), O(1) for a stream in a state that another was in. */
  afterOffer(next: TypeSnapshot): ClientResources {
    if (next === this.offered) return this;
    const known = this.#afterOffer?.deref();
    if (known?.offered === next) return known;
    const after = this.#offer(next);
    this.#afterOffer = new WeakRef(after);
    return after;
  }

  #offer(next: TypeSnapshot): ClientResources {
    const before = this.offered;
    const sent = new Map(this.#sent);
    const held = new Map(this.#held);
    const { changed, removed } = typeChanges(before, next);
    for (const resource of changed) {
      const { name } = resource;
      const old = before.resources.get(name);
      if (sent.has(name)) {
        if (sent.get(name)?.version === resource.version) sent.delete(name);
      } else if (old !== undefined && subscribes(this.subscription, old)) {
        sent.set(name, old);
      } else if (subscribes(this.subscription, resource)) {
        sent.set(name, undefined);
      }
    }
    for (const old of removed) {
      if (!sent.has(old.name)) {
        if (subscribes(this.subscription, old)) sent.set(old.name, old);
        // What it does not ask for it has forgotten; it keeps nothing else in use.
        else held.delete(old.name);
      } else if (sent.get(old.name) === undefined) {
        sent.delete(old.name);
      }
    }
    return this.#with({ offered: next, sent, held });
  }

  /**
   * After a new subscription. What it no longer names is forgotten, so that a later subscription to it is answered again; what it names now
   * is pending.
   * @param known versions that a reconnecting client has
   * @param onTheirWay what responses carry that the client has not answered: it may have it, whatever it unsubscribed in between
   */
  afterResubscribe(
    next: Subscription,
    known: ReadonlyMap<string, string> = NOTHING_KNOWN,
    onTheirWay: ReadonlyMap<string, Resource> = NOTHING_ON_ITS_WAY,
  ): ClientResources {
    if (next === this.subscription) return this;
    if (known.size + onTheirWay.size > 0) return this.#resubscribe(next, known, onTheirWay);
    const worked = this.#afterResubscribe?.deref();
    if (worked?.subscription === next) return worked;
    const after = this.#resubscribe(next, known, onTheirWay);
    this.#afterResubscribe = new WeakRef(after);
    return after;
  }

  #resubscribe(
    next: Subscription,
    known: ReadonlyMap<string, string>,
    onTheirWay: ReadonlyMap<string, Resource>,
  ): ClientResources {
    const { offered, subscription: before, typeUrl } = this;
    const sent = new Map(this.#sent);
    const held = new Map(this.#held);
    const unasked = new Set(this.#unasked);
    const isSubscribed = (name: string, resource: Resource | undefined) =>
      unasked.has(name) || subscribes(next, this.#known(name, resource));
    for (const map of [sent, held]) {
      for (const [name, resource] of map) if (!isSubscribed(name, resource)) map.delete(name);
    }
    /** What newly came into the subscription is unsent, unless the client says that it has it. */
    const add = (resource: Resource) => {
      const { name } = resource;
      if (sent.has(name) || subscribes(before, resource)) return;
      const version = known.get(name) ?? (onTheirWay.has(name) ? "" : undefined);
      if (version === resource.version) return;
      const had = version === undefined ? undefined : unknownResource(typeUrl, name, version, resource.aliases);
      sent.set(name, had);
    };
    if (next.wildcard && !before.wildcard) {
      for (const resource of offered.resources.values()) add(resource);
    } else if (!next.wildcard) {
      for (const name of next.names) {
        if (before.names.has(name)) continue;
        for (const resource of this.named(name)) add(resource);
      }
    }
    for (const [name, resource] of onTheirWay) {
      // Offered no more, so it is to be told that it is gone.
      if (!offered.resources.has(name) && !sent.has(name) && subscribes(next, resource)) sent.set(name, resource);
    }
    for (const [name, version] of known) {
      const resource = offered.resources.get(name);
      if (resource !== undefined && subscribes(next, resource)) continue;
      if (resource?.version === version) continue;
      if (typeUrl === TypeUrl.virtualHost) unasked.add(name);
      if (isSubscribed(name, resource)) sent.set(name, unknownResource(typeUrl, name, version));
    }
    return this.#with({ subscription: next, sent, held, unasked });
  }

  /** @param resource what the client has of this name; it may be offered no more */
  #known(name: string, resource: Resource | undefined): Resource {
    return resource ?? this.offered.resources.get(name) ?? unknownResource(this.typeUrl, name, "");
  }

  /** After these resources, and the word that those are gone, were sent. */
  afterSent(resources: readonly Resource[], removed: readonly string[] = NO_NAMES): ClientResources {
    if (resources.length + removed.length === 0) return this;
    const isShared = resources === this.#news && removed.length === 0;
    const known = isShared ? this.#afterSent?.deref() : undefined;
    if (known !== undefined) return known;
    const sent = new Map(this.#sent);
    const held = new Map(this.#held);
    const mark = (name: string, resource: Resource | undefined) => {
      const before = this.sent(name);
      if (!held.has(name) && before?.version !== resource?.version) held.set(name, before);
      if (this.offered.resources.get(name)?.version === resource?.version) sent.delete(name);
      else sent.set(name, resource);
    };
    for (const resource of resources) mark(resource.name, resource);
    for (const name of removed) mark(name, undefined);
    const unasked = this.#unaskedWithout(resources, removed);
    const after = this.#with({ sent, held, unasked, carried: isShared ? resources : NONE });
    if (isShared) this.#afterSent = new WeakRef(after);
    return after;
  }

  #unaskedWithout(resources: readonly Resource[], removed: readonly string[]): ReadonlySet<string> {
    if (this.#unasked.size === 0) return this.#unasked;
    const left = new Set(this.#unasked);
    for (const { name } of resources) left.delete(name);
    for (const name of removed) left.delete(name);
    return left;
  }

  /** After the client accepted what it was sent under these names, which may not be the newest. */
  afterAccept(resources: readonly Resource[], removed: readonly string[] = NO_NAMES): ClientResources {
    if (resources.length + removed.length === 0) return this;
    const isShared = resources === this.#carried && removed.length === 0;
    const known = isShared ? this.#afterAccept?.deref() : undefined;
    if (known !== undefined) return known;
    const held = new Map(this.#held);
    const accept = (name: string, resource: Resource | undefined) => {
      const isNewest = this.sent(name)?.version === resource?.version;
      if (!isNewest && this.#isSubscribed(name, resource)) held.set(name, resource);
      else held.delete(name);
    };
    for (const resource of resources) accept(resource.name, resource);
    for (const name of removed) accept(name, undefined);
    const after = this.#with({ held, carried: NONE });
    if (isShared) this.#afterAccept = new WeakRef(after);
    return after;
  }

  #isSubscribed(name: string, resource: Resource | undefined): boolean {
    return this.#unasked.has(name) || subscribes(this.subscription, this.#known(name, resource));
  }

  /** After the client accepted all it was sent, but for these names. */
  afterAcceptAll(except: ReadonlySet<string> = NO_SET): ClientResources {
    if (this.#held.size === 0) return this;
    const held = new Map(this.#held);
    for (const name of this.#held.keys()) if (!except.has(name)) held.delete(name);
    return this.#with({ held, carried: NONE });
  }
}
