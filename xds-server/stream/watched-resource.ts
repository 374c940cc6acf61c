/**
 * The state of one type on one stream: what the client asked for, what it was sent, what it accepted. Only `SotwSession` changes it.
 */
import type { TypeUrl } from "../../protos/index.ts";
import { FULL_STATE_TYPES, type Resource, type ResourceMap, withoutSecrets } from "../cache/index.ts";
import type { ErrorDetail } from "./discovery.ts";
import { type Nack, namesInMessage, shortened } from "./nack.ts";
import { INITIAL_SUBSCRIPTION, isSubscribed, type Subscription } from "./subscription.ts";

/** A response that the client has neither accepted nor rejected. */
export interface InFlight {
  readonly version: string;
  readonly resources: ResourceMap;
}

export interface WatchedResource {
  readonly typeUrl: TypeUrl;
  subscription: Subscription;
  /** Nonce of the latest response; empty before the first. */
  nonce: string;
  /** At most one: changes while it is on its way go into the next response. */
  inFlight: InFlight | undefined;
  /** What was sent last, accepted or not, by name. A rejected resource stays here, so it is not sent again until it changes. */
  sent: ResourceMap;
  /** What the client accepted and works with, by name. */
  held: ResourceMap;
  /** Version of the last accepted response. */
  ackedVersion: string;
  nack: Nack | undefined;
  /** The first request of a full-state type is answered even when there is nothing to say: Envoy waits for it. */
  answerDue: boolean;
}

export function watchResource(typeUrl: TypeUrl): WatchedResource {
  return {
    typeUrl,
    subscription: INITIAL_SUBSCRIPTION,
    nonce: "",
    inFlight: undefined,
    sent: new Map(),
    held: new Map(),
    ackedVersion: "",
    nack: undefined,
    answerDue: FULL_STATE_TYPES.has(typeUrl),
  };
}

/** Takes over a new subscription. Names that are gone are forgotten, so that a later subscription to them is answered again. */
export function applySubscription(watch: WatchedResource, subscription: Subscription): void {
  if (subscription === watch.subscription) return;
  watch.subscription = subscription;
  watch.sent = onlySubscribed(watch.sent, subscription);
  watch.held = onlySubscribed(watch.held, subscription);
}

function onlySubscribed(resources: ResourceMap, subscription: Subscription): ResourceMap {
  for (const name of resources.keys()) {
    if (isSubscribed(subscription, name)) continue;
    return new Map([...resources].filter(([each]) => isSubscribed(subscription, each)));
  }
  return resources;
}

/** Marks a response as sent. */
export function applySent(watch: WatchedResource, response: InFlight, nonce: string): void {
  watch.nonce = nonce;
  watch.inFlight = response;
  watch.answerDue = false;
  watch.sent = FULL_STATE_TYPES.has(watch.typeUrl) ? response.resources : merged(watch.sent, response.resources);
}

export function applyAck(watch: WatchedResource): void {
  const accepted = watch.inFlight;
  if (accepted === undefined) return;
  watch.inFlight = undefined;
  watch.ackedVersion = accepted.version;
  watch.held = FULL_STATE_TYPES.has(watch.typeUrl)
    ? onlySubscribed(accepted.resources, watch.subscription)
    : onlySubscribed(merged(watch.held, accepted.resources), watch.subscription);
  // A partial response clears the complaints about the resources it carried, and only those.
  const left = watch.nack?.resources.filter(
    (name) => !accepted.resources.has(name) && !FULL_STATE_TYPES.has(watch.typeUrl),
  );
  if (watch.nack !== undefined) watch.nack = left?.length ? { ...watch.nack, resources: left } : undefined;
}

/**
 * Records a rejection. Envoy applies the good resources of a rejected cluster or listener response, so those count as accepted; when the
 * message names none, none does.
 */
export function applyNack(watch: WatchedResource, error: ErrorDetail, now: number): Nack {
  const rejected = watch.inFlight;
  const names = [...(rejected?.resources ?? watch.sent).keys()];
  const found = namesInMessage(error.message, names);
  const nack: Nack = {
    typeUrl: watch.typeUrl,
    version: rejected?.version ?? watch.ackedVersion,
    resources: found.length > 0 ? found : names,
    code: error.code,
    // Envoy may print what it did not like, and the message goes to the log and the admin API.
    message: shortened(withoutSecrets(error.message, secretsOf(rejected?.resources ?? watch.sent))),
    at: now,
  };
  watch.nack = nack;
  watch.inFlight = undefined;
  if (rejected !== undefined && found.length > 0) watch.held = heldAfterNack(watch, rejected.resources, new Set(found));
  return nack;
}

function* secretsOf(resources: ResourceMap): Iterable<string> {
  for (const { secrets } of resources.values()) yield* secrets ?? [];
}

function heldAfterNack(watch: WatchedResource, resources: ResourceMap, rejected: ReadonlySet<string>): ResourceMap {
  const held = new Map<string, Resource>(FULL_STATE_TYPES.has(watch.typeUrl) ? [] : watch.held);
  for (const [name, resource] of resources) {
    const kept = rejected.has(name) ? watch.held.get(name) : resource;
    if (kept !== undefined) held.set(name, kept);
  }
  return onlySubscribed(held, watch.subscription);
}

function merged(base: ResourceMap, more: ResourceMap): ResourceMap {
  return base.size === 0 ? more : new Map([...base, ...more]);
}
