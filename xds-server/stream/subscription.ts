/**
 * What one stream asked for of one type: pure state, no versions, no I/O.
 *
 * Rules (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#how-the-client-specifies-what-resources-to-return):
 * 1. An empty first request is a wildcard, for the types that Envoy takes whole.
 * 2. Once a name was sent on this stream, no names mean nothing, not everything; hence `everNamed`, apart from the names.
 * 3. `*` is an explicit wildcard and may stand beside names. State-of-the-world: a later list without it ends it. Delta: it ends when it is
 *    unsubscribed, and so does the implicit one of rule 1, which names do not end.
 * 4. Names are a set: Envoy sends them in any order, and repeats them all in every ACK.
 * 5. A resource is subscribed by its name, by one of its aliases, or by its glob collection.
 */
import { canonicalName, collectionOf, isCollection, type Resource } from "../cache/index.ts";
import { SharedValues } from "./shared-values.ts";

const WILDCARD = "*";

export interface Subscription {
  readonly wildcard: boolean;
  /** True once any name (or `*`) was sent; from then on an empty list means nothing. */
  readonly everNamed: boolean;
  /** Canonical names, aliases and glob collections. */
  readonly names: ReadonlySet<string>;
  /** The same for equal names, in whatever order they came. */
  readonly digest: number;
  /** Whether a glob collection may be among the names. */
  readonly collections: boolean;
}

export const INITIAL_SUBSCRIPTION: Subscription = {
  wildcard: false,
  everNamed: false,
  names: new Set(),
  digest: 0,
  collections: false,
};

/**
 * The subscription after a state-of-the-world request with these resource names. Returns the same object when nothing changed.
 * @param wildcardType whether rule 1 applies to the type
 * @param own the server's own copy of a name, so that a thousand streams do not keep a thousand
 */
export function updateSubscription(
  before: Subscription,
  resourceNames: readonly string[],
  wildcardType: boolean,
  own: (name: string) => string = canonicalName,
): Subscription {
  if (resourceNames.length === 0 && !before.everNamed) {
    return before.wildcard === wildcardType ? before : sharedSubscription({ ...before, wildcard: wildcardType });
  }
  const next = subscriptionTo(resourceNames, own);
  const isSame = before.everNamed && next.wildcard === before.wildcard && sameSet(next.names, before.names);
  return isSame ? before : next;
}

/** By the list it was made from: streams that hand in the same array share one subscription. */
const shared = new WeakMap<readonly string[], Subscription>();

function subscriptionTo(resourceNames: readonly string[], own: (name: string) => string): Subscription {
  const known = shared.get(resourceNames);
  if (known !== undefined) return known;
  const names = new Set<string>();
  for (const name of resourceNames) names.add(own(name));
  const wildcard = names.delete(WILDCARD);
  let digest = 0;
  for (const name of names) digest = (digest + hashOf(name)) | 0;
  const subscription = { wildcard, everNamed: true, names, digest, collections: hasCollection(names) };
  shared.set(resourceNames, subscription);
  return subscription;
}

/**
 * The subscription after a delta request. A name that is both unsubscribed and subscribed is subscribed.
 * @param first whether it is the first request of the type on its stream
 */
export function changeSubscription(
  before: Subscription,
  { subscribe, unsubscribe, first }: { subscribe: readonly string[]; unsubscribe: readonly string[]; first: boolean },
  wildcardType: boolean,
  own: (name: string) => string = canonicalName,
): Subscription {
  if (subscribe.length === 0 && unsubscribe.length === 0) {
    return first && wildcardType ? sharedSubscription({ ...before, wildcard: true }) : before;
  }
  const names = new Set(before.names);
  let { wildcard, digest } = before;
  for (const each of unsubscribe) {
    const name = canonicalName(each);
    if (each === WILDCARD) wildcard = false;
    else if (names.delete(name)) digest = (digest - hashOf(name)) | 0;
  }
  for (const each of subscribe) {
    const name = own(each);
    if (each === WILDCARD) wildcard = true;
    else if (!names.has(name)) {
      names.add(name);
      digest = (digest + hashOf(name)) | 0;
    }
  }
  const collections = before.collections || subscribe.some((name) => isCollection(canonicalName(name)));
  return sharedSubscription({ wildcard, everNamed: true, names: sharedNames(names, digest), digest, collections });
}

/** By the set of names: with the same set and the same flags it is one object for all streams, so that what follows from it is shared, too. */
const variants = new WeakMap<ReadonlySet<string>, Subscription[]>();

function sharedSubscription(subscription: Subscription): Subscription {
  const { wildcard, everNamed, names, collections } = subscription;
  const known = variants.get(names) ?? [];
  variants.set(names, known);
  for (const each of known) {
    if (each.wildcard === wildcard && each.everNamed === everNamed && each.collections === collections) return each;
  }
  known.push(subscription);
  return subscription;
}

/** Sets of names by digest. Names from outside may be made to have the digest of others: then the later ones are not shared. */
const nameSets = new SharedValues<number, ReadonlySet<string>>();

/** Envoys of a group ask for the same: one set for all of them. */
function sharedNames(names: ReadonlySet<string>, digest: number): ReadonlySet<string> {
  if (names.size === 0) return INITIAL_SUBSCRIPTION.names;
  const known = nameSets.get(digest, () => names);
  return sameSet(known, names) ? known : names;
}

/** FNV-1a, 32 bits. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return hash;
}

/** Whether the name itself is subscribed; for a resource, which may go by other names, {@link subscribes}. */
export function isSubscribed(subscription: Subscription, name: string): boolean {
  return subscription.wildcard || subscription.names.has(name);
}

export function subscribes(subscription: Subscription, { name, aliases }: Resource): boolean {
  const { wildcard, names, collections } = subscription;
  if (wildcard || names.has(name)) return true;
  if (aliases?.some((alias) => names.has(alias)) === true) return true;
  if (!collections) return false;
  const collection = collectionOf(name);
  return collection !== undefined && names.has(collection);
}

function hasCollection(names: Iterable<string>): boolean {
  for (const name of names) if (isCollection(name)) return true;
  return false;
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const name of a) if (!b.has(name)) return false;
  return true;
}
