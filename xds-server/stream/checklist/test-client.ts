/**
 * For tests: resources and snapshots as text, and one client that speaks both variants of the protocol, so that a rule is written once. It keeps what an
 * Envoy would keep, and says of every response what it changed there:
 *
 *   CDS a@2 b@1 -c     a and b came (b perhaps once more in the same version), c went
 *   VHDS r/x?          there is no r/x
 *   EDS a~             a heartbeat
 *
 * A state-of-the-world response for a whole type says what came or went, not what it repeated.
 */
import { expect } from "vitest";
import { TypeUrl } from "../../../protos/index.ts";
import { createSnapshot, FULL_STATE_TYPES, type Reference, type Resource, type Snapshot } from "../../cache/index.ts";
import { DeltaSession } from "../delta-session.ts";
import type { PlannedDelta, PlannedResponse } from "../discovery.ts";
import type { Received, Session, SessionOptions } from "../session.ts";
import { SotwSession } from "../sotw-session.ts";

export const TYPES = {
  CDS: TypeUrl.cluster,
  EDS: TypeUrl.endpoints,
  SDS: TypeUrl.secret,
  LDS: TypeUrl.listener,
  SRDS: TypeUrl.scopedRoute,
  RDS: TypeUrl.route,
  VHDS: TypeUrl.virtualHost,
  ECDS: TypeUrl.extensionConfig,
  RTDS: TypeUrl.runtime,
} as const;
export type Type = keyof typeof TYPES;
export type Variant = "sotw" | "delta";

const SHORT = new Map<TypeUrl, Type>((Object.keys(TYPES) as Type[]).map((type) => [TYPES[type], type]));

function reference(text: string): Reference {
  const cut = text.indexOf(":");
  return { typeUrl: TYPES[text.slice(0, cut) as Type], name: text.slice(cut + 1) };
}

/** `CDS:a@1 -> EDS:a SDS:s`: a resource and what it names. `EDS:a@1 ttl=3000`, `VHDS:r/v@1 alias=r/a,r/b`. */
export function resource(line: string): Resource {
  const [self = "", targets = ""] = line.split(" -> ");
  const [head = "", ...options] = self.split(" ");
  const at = head.lastIndexOf("@");
  const option = (key: string) => options.find((each) => each.startsWith(`${key}=`))?.slice(key.length + 1);
  const [ttl, alias] = [option("ttl"), option("alias")];
  return {
    ...reference(head.slice(0, at)),
    version: head.slice(at + 1),
    any: new Uint8Array(),
    references: targets === "" ? [] : targets.split(" ").map(reference),
    ...(ttl === undefined ? {} : { ttlMs: Number(ttl) }),
    ...(alias === undefined ? {} : { aliases: alias.split(",") }),
  };
}

export function snapshot(...lines: readonly string[]): Snapshot {
  return createSnapshot(lines.map(resource));
}

interface Pending {
  readonly nonce: string;
  readonly version: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
}

/** What a client keeps of one type. */
class Store {
  readonly names = new Set<string>();
  asked = false;
  /** Whether a name was ever sent: without, no names are everything. */
  named = false;
  readonly resources = new Map<string, Resource>();
  /** As if every response were accepted the moment it is read. */
  readonly seen = new Map<string, Resource>();
  readonly pending: Pending[] = [];
  /** What may be sent once more in the version that the client has seen. */
  readonly excused = new Set<string>();
  nonce = "";
  version = "";
}

export interface Extra {
  readonly nonce?: string;
  readonly version?: string;
  readonly error?: string;
  /** What a reconnecting client has: `a@1`. */
  readonly has?: readonly string[];
}

export class TestClient {
  readonly variant: Variant;
  readonly nonces = new Set<string>();
  now = 1_000;
  /** Resources that responses carried with a body, by type. */
  carried = 0;
  responses = 0;
  readonly #options: SessionOptions;
  #sotw: SotwSession | undefined;
  #delta: DeltaSession | undefined;
  readonly #stores = new Map<Type, Store>();
  readonly #contents = new Map<string, string>();

  constructor(variant: Variant, first: Snapshot, options: SessionOptions = {}) {
    this.variant = variant;
    this.#options = options;
    this.#connect(first);
  }

  #connect(first: Snapshot): void {
    if (this.variant === "sotw") this.#sotw = new SotwSession(first, this.#options);
    else this.#delta = new DeltaSession(first, this.#options);
  }

  get session(): Session<never, PlannedResponse | PlannedDelta> {
    return (this.#sotw ?? this.#delta) as Session<never, PlannedResponse | PlannedDelta>;
  }

  /** Loses the stream, with what was on its way, and asks on a new one for all it asked for, in this order of types. */
  disconnect(first: Snapshot, order: readonly Type[]): void {
    this.#connect(first);
    this.nonces.clear();
    for (const store of this.#stores.values()) {
      store.pending.length = 0;
      store.nonce = "";
      store.seen.clear();
      // A state-of-the-world server cannot know what the client has.
      if (this.variant === "delta") for (const each of store.resources.values()) store.seen.set(each.name, each);
    }
    for (const type of order) {
      const { asked, names, resources } = this.store(type);
      if (!asked) continue;
      const has = [...resources.values()].map(({ name, version }) => `${name}@${version}`);
      this.request(type, [...names], this.variant === "sotw" ? {} : { has });
    }
  }

  store(type: Type): Store {
    let store = this.#stores.get(type);
    if (store === undefined) {
      store = new Store();
      this.#stores.set(type, store);
    }
    return store;
  }

  /** What the client has accepted, as `a@1 b@2`. */
  has(type: Type): string {
    const { resources } = this.store(type);
    return [...resources.values()]
      .map(({ name, version }) => `${name}@${version}`)
      .sort()
      .join(" ");
  }

  /** Sends a request: names that are added and dropped (`-a`), and with them the answer to `extra.nonce`. */
  request(type: Type, changes: readonly string[], extra: Extra = {}): Received {
    const store = this.store(type);
    store.asked = true;
    const added = changes.filter((name) => !name.startsWith("-"));
    const dropped = changes.filter((name) => name.startsWith("-")).map((name) => name.slice(1));
    store.named ||= changes.length > 0;
    for (const name of dropped) store.names.delete(name);
    for (const name of added) {
      store.names.add(name);
      store.excused.add(name);
    }
    // What is not asked for any more is forgotten.
    if (dropped.length > 0) {
      for (const kept of [store.resources, store.seen]) {
        for (const [name, each] of kept) if (!this.#wants(store, each)) kept.delete(name);
      }
    }
    const common = {
      typeUrl: TYPES[type],
      ...(extra.error === undefined ? {} : { errorDetail: { code: 13, message: extra.error } }),
    };
    if (this.#sotw !== undefined) {
      return this.#sotw.receive(
        {
          ...common,
          versionInfo: extra.version ?? store.version,
          resourceNames: [...store.names],
          responseNonce: extra.nonce ?? store.nonce,
        },
        this.now,
      );
    }
    const initial = (extra.has ?? []).map((each) => each.split("@") as [string, string]);
    for (const [name, version] of initial) {
      const had = store.resources.get(name) ?? resource(`${type}:${name}@${version}`);
      store.resources.set(name, had);
      store.seen.set(name, had);
    }
    const delta = this.#delta as DeltaSession;
    return delta.receive(
      {
        ...common,
        subscribe: added,
        unsubscribe: dropped,
        initialVersions: new Map(initial),
        responseNonce: extra.nonce ?? "",
      },
      this.now,
    );
  }

  /** Changes the subscription; then everything that is due. */
  subscribe(type: Type, ...changes: readonly string[]): string[] {
    this.request(type, changes);
    return this.read();
  }

  /** A first request after a reconnect: what the client has; state-of-the-world says the version only. */
  reconnect(type: Type, names: readonly string[], has: readonly string[], version = "?"): string[] {
    this.request(type, names, this.variant === "sotw" ? { version } : { has });
    return this.read();
  }

  /** Accepts the oldest unanswered response of each type; then everything that is due. */
  ack(...types: readonly Type[]): string[] {
    for (const type of types) this.answer(type);
    return this.read();
  }

  nack(type: Type, error: string): string[] {
    this.answer(type, error);
    return this.read();
  }

  /** Answers the oldest unanswered response, if there is one. An Envoy that rejects by name keeps the rest. */
  answer(type: Type, error?: string): boolean {
    const store = this.store(type);
    const response = store.pending.shift();
    if (response === undefined) return false;
    store.nonce = response.nonce;
    if (error === undefined) store.version = response.version;
    const isBad = (name: string) => error !== undefined && (error === "" || error.split(/[ ,:]/).includes(name));
    const named = response.resources.some(({ name }) => isBad(name));
    const rejectsAll = error !== undefined && !named;
    for (const each of response.resources) {
      if (!rejectsAll && !isBad(each.name) && this.#wants(store, each)) store.resources.set(each.name, each);
    }
    if (!rejectsAll) for (const name of response.removed) store.resources.delete(name);
    const outcome = this.request(type, [], { nonce: response.nonce, ...(error === undefined ? {} : { error }) });
    expect(outcome.kind).toBe(error === undefined ? "ack" : "nack");
    return true;
  }

  #wants({ names, named }: Store, { name, aliases = [] }: Resource): boolean {
    const collection = name.replace(/[^/?]*(\?.*)?$/, "*$1");
    return !named || ["*", name, collection, ...aliases].some((each) => names.has(each));
  }

  publish(next: Snapshot): string[] {
    this.session.publish(next);
    return this.read();
  }

  /** Everything that is due now, in order. */
  read(): string[] {
    const lines: string[] = [];
    for (let line = this.readOne(); line !== undefined; line = this.readOne()) lines.push(line);
    return lines;
  }

  /** The next response that is due. */
  readOne(): string | undefined {
    const due = this.session.next(this.now);
    if (due === undefined) return undefined;
    const type = SHORT.get(due.typeUrl) as Type;
    const store = this.store(type);
    expect(store.asked, `${type} was asked for`).toBe(true);
    expect(due.nonce).not.toBe("");
    expect(this.nonces.has(due.nonce), "a nonce is used once").toBe(false);
    this.nonces.add(due.nonce);
    this.responses++;
    if ("systemVersion" in due) return this.#readDelta(type, store, due);
    return this.#readWhole(type, store, due);
  }

  #readWhole(type: Type, store: Store, due: PlannedResponse): string {
    expect(store.pending.length, `one ${type} response on its way`).toBe(0);
    const isWhole = FULL_STATE_TYPES.has(due.typeUrl);
    const text = due.resources.map(({ name, version }) => `${name}@${version}`).join(" ");
    const key = `${type} ${due.version} ${[...store.names].sort().join()}`;
    if (isWhole) expect(this.#contents.get(key) ?? text, "one content under a version").toBe(text);
    if (isWhole) this.#contents.set(key, text);
    const names = new Set(due.resources.map(({ name }) => name));
    expect(names.size, "no resource twice").toBe(due.resources.length);
    const removed = isWhole ? [...store.seen.keys()].filter((name) => !names.has(name)) : [];
    const shown = due.resources.filter(({ name, version }) => !isWhole || store.seen.get(name)?.version !== version);
    // A resource that a rejected response carried may be accepted with the next, so absence is against all that was ever accepted.
    const gone = isWhole
      ? [...new Set([...removed, ...store.resources.keys()])].filter((name) => !names.has(name))
      : [];
    if (!isWhole) this.#checkNeed(type, store, due.resources);
    this.#excuse(shown, store);
    this.#note(store, { nonce: due.nonce, version: due.version, resources: due.resources, removed: gone });
    return this.#line(type, shown, removed, [], due.heartbeats);
  }

  #readDelta(type: Type, store: Store, due: PlannedDelta): string {
    const resources: Resource[] = [];
    const missing: string[] = [];
    const heartbeats: Resource[] = [];
    for (const item of due.resources) {
      if ("heartbeat" in item) heartbeats.push(item.heartbeat);
      else if ("missing" in item) missing.push(item.missing);
      else resources.push(item);
    }
    expect(new Set(resources.map(({ name }) => name)).size, "no resource twice").toBe(resources.length);
    this.#checkNeed(type, store, resources);
    this.#excuse(resources, store);
    this.#note(store, { nonce: due.nonce, version: due.systemVersion, resources, removed: due.removed });
    return this.#line(type, resources, due.removed, missing, heartbeats);
  }

  /** No response carries what the client has, unless it asked for it or must get it again behind something that changed. */
  #checkNeed(type: Type, store: Store, resources: readonly Resource[]): void {
    for (const { name, version, aliases = [] } of resources) {
      if (store.seen.get(name)?.version !== version) continue;
      const excuses = [name, ...aliases].filter((each) => store.excused.has(each));
      expect(excuses.length, `${type} ${name}@${version} is needed`).toBeGreaterThan(0);
      for (const each of excuses) store.excused.delete(each);
    }
  }

  #excuse(changed: readonly Resource[], { seen }: Store): void {
    for (const { typeUrl, name, version, references } of changed) {
      if (seen.get(name)?.version === version) continue;
      for (const each of references) this.store(SHORT.get(each.typeUrl) as Type).excused.add(each.name);
      if (typeUrl !== TypeUrl.route) continue;
      const hosts = this.store("VHDS");
      for (const host of hosts.seen.keys()) if (host.startsWith(`${name}/`)) hosts.excused.add(host);
    }
  }

  #note(store: Store, response: Pending): void {
    store.pending.push(response);
    this.carried += response.resources.length;
    for (const each of response.resources) store.seen.set(each.name, each);
    for (const name of response.removed) store.seen.delete(name);
  }

  #line(
    type: Type,
    resources: readonly Resource[],
    removed: readonly string[],
    missing: readonly string[],
    heartbeats: readonly Resource[],
  ): string {
    return [
      type,
      ...resources.map(({ name, version }) => `${name}@${version}`).sort(),
      ...removed.map((name) => `-${name}`).sort(),
      ...missing.map((name) => `${name}?`).sort(),
      ...heartbeats.map(({ name }) => `${name}~`).sort(),
    ].join(" ");
  }
}
