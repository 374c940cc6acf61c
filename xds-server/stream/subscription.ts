/**
 * What one stream asked for of one type: pure state, no versions, no I/O.
 *
 * State-of-the-world rules
 * (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#how-the-client-specifies-what-resources-to-return):
 * 1. An empty first request is a wildcard, for listeners and clusters only.
 * 2. Once a name was sent on this stream, an empty list means nothing, not everything; hence `everNamed`, apart from the names.
 * 3. `*` is an explicit wildcard and may stand beside names; a later list without it ends it.
 * 4. Names are a set: Envoy sends them in any order, and repeats them all in every ACK.
 */

const WILDCARD = "*";

export interface Subscription {
  readonly wildcard: boolean;
  /** True once any name (or `*`) was sent; from then on an empty list means nothing. */
  readonly everNamed: boolean;
  readonly names: ReadonlySet<string>;
}

export const INITIAL_SUBSCRIPTION: Subscription = { wildcard: false, everNamed: false, names: new Set() };

/**
 * The subscription after a request with these resource names. Returns the same object when nothing changed.
 * @param wildcardType whether rule 1 applies to the type
 */
export function updateSubscription(
  before: Subscription,
  resourceNames: readonly string[],
  wildcardType: boolean,
): Subscription {
  if (resourceNames.length === 0 && !before.everNamed) {
    return before.wildcard === wildcardType ? before : { ...before, wildcard: wildcardType };
  }
  const names = new Set(resourceNames);
  const wildcard = names.delete(WILDCARD);
  if (before.everNamed && wildcard === before.wildcard && sameSet(names, before.names)) return before;
  return { wildcard, everNamed: true, names };
}

export function isSubscribed(subscription: Subscription, name: string): boolean {
  return subscription.wildcard || subscription.names.has(name);
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const name of a) if (!b.has(name)) return false;
  return true;
}
