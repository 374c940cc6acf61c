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

const WILDCARD = "*";

export interface Subscription {
  readonly wildcard: boolean;
  /** True once any name (or `*`) was sent; from then on an empty list means nothing. */
  readonly everNamed: boolean;
  /** Canonical names, aliases and glob collections. */
  readonly names: ReadonlySet<string>;
  /** Whether a glob collection may be among the names. */
  readonly collections: boolean;
}

export const INITIAL_SUBSCRIPTION: Subscription = {
  wildcard: false,
  everNamed: false,
  names: new Set(),
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
  const subscription = { wildcard, everNamed: true, names, collections: hasCollection(names) };
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
  let { wildcard } = before;
  for (const name of unsubscribe) {
    if (name === WILDCARD) wildcard = false;
    else names.delete(canonicalName(name));
  }
  for (const name of subscribe) {
    if (name === WILDCARD) wildcard = true;
    else names.add(own(name));
  }
  const collections = before.collections || subscribe.some((name) => isCollection(canonicalName(name)));
  return sharedSubscription({ wildcard, everNamed: true, names, collections });
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
