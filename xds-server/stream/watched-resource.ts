/** The state of one type on one stream: what the client asked for, what it was sent, what it accepted. Only the sessions change it. */
import type { TypeUrl } from "../../protos/index.ts";
import { FULL_STATE_TYPES, type Resource, type TypeSnapshot, withoutSecrets } from "../cache/index.ts";
import { ClientResources } from "./client-resources.ts";
import type { ErrorDetail } from "./discovery.ts";
import { type Nack, namesInMessage, shortened } from "./nack.ts";
import { emptyMap, emptySet, withEntry, withMember, withoutEntry, withoutMember } from "./sparse.ts";
import { type Subscription, subscribes } from "./subscription.ts";

/** A response that the client has neither accepted nor rejected. */
export interface InFlight {
  readonly version: string;
  readonly nonce: string;
  /** What it changes at the client. */
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  /** Set in a response that is the whole state of its type: all that it carries, changed or not. */
  readonly whole?: readonly Resource[];
}

export class WatchedResource {
  readonly typeUrl: TypeUrl;
  client: ClientResources;
  /** Unanswered responses by nonce. State-of-the-world: at most one; delta: more only by answers to subscriptions. */
  outstanding: ReadonlyMap<string, InFlight> = emptyMap();
  /** Names to be sent again although the client has them. */
  again: ReadonlySet<string> = emptySet();
  /** Delta: names whose subscription is to be answered now, whatever is outstanding. */
  replies: ReadonlySet<string> = emptySet();
  /** Delta: names whose removal was in a response that was rejected as a whole. It is told again with the next one. */
  unheard: ReadonlySet<string> = emptySet();
  /** When a resource with a TTL is due to be heard of again, by name. */
  beats: ReadonlyMap<string, number> = emptyMap();
  /** Nonce of the latest response; empty before the first. */
  nonce = "";
  /** Version of the last accepted response. */
  ackedVersion = "";
  nack: Nack | undefined;
  /** A response is due even when there is nothing to say, because Envoy waits for one. */
  answerDue = false;
  /** State-of-the-world: the names of the last request, to know them again. */
  lastNames: readonly string[] | undefined;
  /** version_info of the first request: what a client that reconnects still has. */
  readonly claimedVersion: string;

  constructor(typeUrl: TypeUrl, offered: TypeSnapshot, claimedVersion = "") {
    this.typeUrl = typeUrl;
    this.client = ClientResources.initial(typeUrl, offered);
    this.claimedVersion = claimedVersion;
  }

  get subscription(): Subscription {
    return this.client.subscription;
  }

  /** The newest unanswered response. */
  get inFlight(): InFlight | undefined {
    if (this.outstanding.size === 0) return undefined;
    let newest: InFlight | undefined;
    for (const each of this.outstanding.values()) newest = each;
    return newest;
  }

  /** What was sent last, accepted or not, by name. O(subscribed). */
  get sent(): ReadonlyMap<string, Resource> {
    return byName(this.client.allSent());
  }

  /** What the client accepted and works with, by name. O(subscribed). */
  get held(): ReadonlyMap<string, Resource> {
    return byName(this.client.allHeld());
  }
}

function byName(resources: Iterable<Resource>): ReadonlyMap<string, Resource> {
  const sorted = [...resources].sort((a, b) => (a.name < b.name ? -1 : 1));
  return new Map(sorted.map((resource) => [resource.name, resource]));
}

/** Marks a response as sent. */
export function applySent(watch: WatchedResource, response: InFlight): void {
  watch.nonce = response.nonce;
  watch.answerDue = false;
  watch.outstanding = withEntry(watch.outstanding, response.nonce, response);
  watch.client = watch.client.afterSent(response.resources, response.removed);
  if (watch.again.size > 0) {
    for (const { name } of response.resources) watch.again = withoutMember(watch.again, name);
  }
  for (const name of response.removed) {
    watch.again = withoutMember(watch.again, name);
    watch.unheard = withoutMember(watch.unheard, name);
  }
}

export function applyAck(watch: WatchedResource, accepted: InFlight): void {
  watch.outstanding = withoutEntry(watch.outstanding, accepted.nonce);
  watch.ackedVersion = accepted.version;
  if (accepted.whole !== undefined) {
    watch.client = watch.client.afterAcceptAll();
    watch.nack = undefined;
    return;
  }
  watch.client = watch.client.afterAccept(accepted.resources, accepted.removed);
  if (watch.nack === undefined) return;
  // A partial response clears the complaints about the resources it carried, and only those.
  forgiveNacks(watch, new Set([...accepted.resources.map(({ name }) => name), ...accepted.removed]));
}

const NOTHING_ACCEPTED: ReadonlySet<string> = new Set();

/** Drops from the record of a rejection what was accepted since, and what the client has no more to do with. */
export function forgiveNacks(watch: WatchedResource, accepted: ReadonlySet<string> = NOTHING_ACCEPTED): void {
  const { nack, client } = watch;
  if (nack === undefined) return;
  const open = nack.resources.filter((name) => !accepted.has(name) && client.wanted(name) !== undefined);
  if (open.length < nack.resources.length) watch.nack = open.length === 0 ? undefined : { ...nack, resources: open };
}

/**
 * Records a rejection. Envoy applies the good resources of a rejected cluster or listener response, so those count as accepted; when the
 * message names none, none does.
 * @param rejected undefined when the client rejects what it had accepted
 */
export function applyNack(
  watch: WatchedResource,
  rejected: InFlight | undefined,
  error: ErrorDetail,
  now: number,
): Nack {
  const { client } = watch;
  const carried = rejected === undefined ? [...client.allSent()] : (rejected.whole ?? rejected.resources);
  const names = carried.map(({ name }) => name);
  const found = new Set(namesInMessage(error.message, names));
  const nack: Nack = {
    typeUrl: watch.typeUrl,
    version: rejected?.version ?? watch.ackedVersion,
    resources: found.size > 0 ? [...found] : names,
    code: error.code,
    // Envoy may print what it did not like, and the message goes to the log and the admin API.
    message: shortened(withoutSecrets(error.message, secretsOf(carried))),
    at: now,
  };
  watch.nack = nack;
  if (rejected === undefined) return nack;
  watch.outstanding = withoutEntry(watch.outstanding, rejected.nonce);
  if (found.size === 0) {
    for (const name of rejected.removed) {
      if (client.held(name) !== undefined) watch.unheard = withMember(watch.unheard, name);
    }
    return nack;
  }
  if (rejected.whole !== undefined) {
    watch.client = client.afterAcceptAll(found);
    return nack;
  }
  const good = rejected.resources.filter(({ name }) => !found.has(name));
  watch.client = client.afterAccept(good, rejected.removed);
  return nack;
}

function* secretsOf(resources: Iterable<Resource>): Iterable<string> {
  for (const { secrets } of resources) yield* secrets ?? [];
}

/** What one client has of one resource, for people. */
export interface ClientResource {
  readonly name: string;
  /** Version that was sent last; empty when none was. */
  readonly version: string;
  /** Version that the client works with; empty when none. */
  readonly heldVersion: string;
  readonly status: "requested" | "missing" | "sent" | "acked" | "nacked";
}

/** Everything that a client asked for or was sent of a type, by name. O(subscribed). */
export function clientResources(watch: Readonly<WatchedResource>): readonly ClientResource[] {
  const { client, nack, outstanding, subscription } = watch;
  const unanswered = new Set<string>();
  for (const { resources } of outstanding.values()) for (const { name } of resources) unanswered.add(name);
  const rejected = new Set(nack?.resources ?? []);
  const list = new Map<string, ClientResource>();
  const add = (name: string) => {
    const version = client.sent(name)?.version ?? "";
    const heldVersion = client.held(name)?.version ?? "";
    const status =
      version === ""
        ? client.wanted(name) === undefined
          ? "missing"
          : "requested"
        : unanswered.has(name)
          ? "sent"
          : rejected.has(name)
            ? "nacked"
            : "acked";
    list.set(name, { name, version, heldVersion, status });
  };
  for (const { name } of client.allSent()) add(name);
  for (const { name } of client.allHeld()) add(name);
  for (const name of client.pending()) add(name);
  for (const name of subscription.names) {
    const members = client.named(name);
    if (members.length === 0) add(name);
    for (const member of members) if (subscribes(subscription, member)) add(member.name);
  }
  return [...list.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether state-of-the-world responses of the type are always the whole state. */
export function isWhole(watch: WatchedResource): boolean {
  return FULL_STATE_TYPES.has(watch.typeUrl);
}
