/**
 * The registry of our own: programs register their instances, send heartbeats, and leave. Any replica takes any of these. What was registered is in the state store,
 * a record for each instance, written when it changes; heartbeats are not: see leases.ts.
 *
 * An instance goes when it says so, or when its time is over without a heartbeat. Heartbeats that could not arrive do not count against it: nobody's time ends while
 * the store is away, or within one time to live after that, after a start, or after this process stood still; and nobody goes while more than half of all instances are
 * silent together.
 */
import { randomBytes } from "node:crypto";
import { Registry as MetricsRegistry } from "prom-client";
import { ServerError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { RecordMirror } from "../../state/records/mirror.ts";
import type { RecordStore } from "../../state/records/store.ts";
import type { Clock } from "../clock.ts";
import { MAX_ENDPOINTS } from "../limits.ts";
import type { EndpointHealth } from "../source.ts";
import { decodeInstance, encodeInstance, type Instance } from "./instance.ts";
import { LeaseFeed } from "./lease-feed.ts";
import { Leases } from "./leases.ts";
import { FEW_INSTANCES, MAX_INSTANCES, MAX_REMOVALS, MOST_EXPIRED, STALL_MS, SWEEP_MS } from "./limits.ts";
import { createRegistryMetrics, type RegistryMetrics } from "./metrics.ts";

const PREFIX = "registry/";

export interface RegistryOptions {
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of this process, unlike that of any other before or beside it: a-z, 0-9. */
  readonly replica?: string;
  /** Gets the metrics `tokenmesh_registry_*`. */
  readonly metrics?: MetricsRegistry;
}

export interface RegistryWatcher {
  /** @param services whose instances are others; undefined: it may be any, because the store has come or gone */
  changed(services: ReadonlySet<string> | undefined): void;
}

export interface RegisteredInstance extends Instance {
  readonly id: string;
}

export class Registry {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #mirror: RecordMirror;
  readonly #leases = new Leases();
  readonly #feed: LeaseFeed;
  readonly #metrics: RegistryMetrics;
  /** By service, by id. */
  readonly #services = new Map<string, Map<string, Instance>>();
  readonly #watchers = new Set<RegistryWatcher>();
  readonly #timer: { cancel: () => void };
  #sweptAt: number;
  #wasAway = true;
  /** The store has said what there is. */
  #known = false;
  #holding = false;

  constructor(options: RegistryOptions) {
    const { store, clock, log, replica = randomBytes(8).toString("hex"), metrics = new MetricsRegistry() } = options;
    this.#clock = clock;
    this.#log = log;
    this.#sweptAt = clock.now();
    this.#leases.grace(clock.now());
    this.#mirror = new RecordMirror(store, {
      prefix: PREFIX,
      log,
      changed: (keys) => this.#adopt(keys),
      availability: () => this.#tell(undefined),
    });
    this.#feed = new LeaseFeed({ store, clock, log, replica, leases: this.#leases });
    this.#metrics = createRegistryMetrics(metrics, {
      services: () => this.#services,
      overdue: () => this.#leases.overdue(clock.now(), this.#feed.slackMs).length,
      holding: () => this.#holding,
    });
    this.#timer = { cancel: clock.after(SWEEP_MS, () => this.#sweep()) };
  }

  /** Resolves when the store has said what there is. */
  get ready(): Promise<void> {
    return this.#mirror.ready;
  }

  /** The store has said what there is. */
  get started(): boolean {
    return this.#mirror.started;
  }

  /** Why the store cannot be read; undefined while it can. */
  get failure(): Error | undefined {
    return this.#mirror.failure;
  }

  /** Instances that would have gone, and stay because too many are silent together. */
  get holding(): boolean {
    return this.#holding;
  }

  /** Number of instances by service. */
  services(): ReadonlyMap<string, number> {
    return new Map([...this.#services].map(([service, instances]) => [service, instances.size]));
  }

  /** In the order of their ids. */
  instances(service: string): readonly RegisteredInstance[] {
    const instances = [...(this.#services.get(service) ?? [])];
    return instances.sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, instance]) => ({ id, ...instance }));
  }

  instance(service: string, id: string): RegisteredInstance | undefined {
    const instance = this.#services.get(service)?.get(id);
    return instance && { id, ...instance };
  }

  /** How long an instance has without another heartbeat, ms. */
  remainingMs(service: string, id: string): number {
    const endsAt = this.#leases.endsAt(keyOf(service, id), this.#feed.slackMs) ?? 0;
    return Math.max(0, Math.round(endsAt - this.#clock.now()));
  }

  /**
   * Registers an instance, or changes it; the same again is a heartbeat and writes nothing.
   * @throws ServerError TM_REGISTRY_FULL; StoreError
   */
  async register(service: string, id: string, instance: Instance): Promise<"created" | "changed" | "renewed"> {
    const key = keyOf(service, id);
    const text = encodeInstance(instance);
    const before = this.#mirror.records.get(key);
    if (before?.value === text) {
      this.#beat(key);
      return "renewed";
    }
    if (before === undefined) this.#checkRoom(service);
    await this.#mirror.put(key, text);
    this.#leases.beat(key, this.#clock.now());
    const change = before === undefined ? "created" : "changed";
    this.#metrics.changes.inc({ change });
    return change;
  }

  /**
   * @param health when it is another than before
   * @returns false for one that is not registered: it has to register again
   * @throws StoreError only when this replica does not know the instance, or its health changes
   */
  async heartbeat(service: string, id: string, health?: EndpointHealth): Promise<boolean> {
    const key = keyOf(service, id);
    // It may have registered with another replica a moment ago.
    if (this.instance(service, id) === undefined) await this.#mirror.refresh(key);
    const instance = this.#services.get(service)?.get(id);
    if (instance === undefined) {
      this.#metrics.heartbeats.inc({ result: "unknown" });
      return false;
    }
    this.#beat(key);
    if (health === undefined || health === instance.health) return true;
    await this.register(service, id, { ...instance, health });
    return true;
  }

  /** @returns false for one that was not registered @throws StoreError */
  async deregister(service: string, id: string): Promise<boolean> {
    const key = keyOf(service, id);
    const known = this.#mirror.records.get(key) ?? (await this.#mirror.refresh(key));
    if (known === undefined) return false;
    await this.#mirror.delete(key);
    this.#metrics.changes.inc({ change: "removed" });
    return true;
  }

  /** Never called from within this call. */
  watch(watcher: RegistryWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Leaves the store open. */
  close(): void {
    this.#timer.cancel();
    this.#watchers.clear();
    this.#feed.close();
    this.#mirror.close();
  }

  #beat(key: string): void {
    this.#leases.beat(key, this.#clock.now());
    this.#metrics.heartbeats.inc({ result: "known" });
  }

  #checkRoom(service: string): void {
    const ofService = this.#services.get(service)?.size ?? 0;
    if (this.#leases.size < MAX_INSTANCES && ofService < MAX_ENDPOINTS) return;
    throw new ServerError(
      "TM_REGISTRY_FULL",
      `${this.#leases.size} instances are registered, ${ofService} of ${service}`,
    );
  }

  #adopt(keys: ReadonlySet<string>): void {
    const services = new Set<string>();
    for (const key of keys) {
      const [, service = "", id = ""] = key.split("/");
      const record = this.#mirror.records.get(key);
      const instance = record && decodeInstance(record.value);
      if (record !== undefined && instance === undefined) {
        this.#log("error", "an instance of the state store cannot be read", { code: "TM_STATE_DAMAGED", key });
        continue;
      }
      services.add(service);
      if (instance === undefined) this.#remove(service, id, key);
      else this.#put(service, id, key, instance);
    }
    this.#tell(this.#known ? services : undefined);
    this.#known = true;
  }

  #put(service: string, id: string, key: string, instance: Instance): void {
    const instances = this.#services.get(service) ?? new Map<string, Instance>();
    this.#services.set(service, instances.set(id, instance));
    this.#leases.begin(key, instance.ttl * 1_000, this.#clock.now());
  }

  #remove(service: string, id: string, key: string): void {
    const instances = this.#services.get(service);
    instances?.delete(id);
    if (instances?.size === 0) this.#services.delete(service);
    this.#leases.end(key);
  }

  #tell(services: ReadonlySet<string> | undefined): void {
    for (const watcher of this.#watchers) watcher.changed(services);
  }

  #sweep(): void {
    this.#timer.cancel = this.#clock.after(SWEEP_MS, () => this.#sweep());
    const now = this.#clock.now();
    const stalled = now - this.#sweptAt > STALL_MS;
    this.#sweptAt = now;
    const away = !this.#mirror.started || this.#mirror.failure !== undefined;
    if (away || this.#wasAway || stalled) this.#leases.grace(now);
    this.#wasAway = away;
    if (!away) this.#expire(now);
    this.#feed.sweep(now, away);
  }

  #expire(now: number): void {
    const overdue = this.#leases.overdue(now, this.#feed.slackMs);
    const many = this.#leases.size >= FEW_INSTANCES && overdue.length > this.#leases.size * MOST_EXPIRED;
    if (many !== this.#holding) {
      this.#holding = many;
      if (many)
        this.#log("warn", "most instances send no heartbeats; none of them is removed", { overdue: overdue.length });
      else this.#log("info", "instances without heartbeats are removed again");
    }
    if (many) return;
    for (const key of overdue.slice(0, MAX_REMOVALS)) {
      const version = this.#mirror.records.get(key)?.version;
      if (version === undefined) continue;
      this.#log("info", "an instance has sent no heartbeat and is removed", { instance: key.slice(PREFIX.length) });
      // It may have been changed at another replica meanwhile; then it stays, and if the store is away, the next look finds it again.
      const removal = this.#mirror.delete(key, { expected: version });
      removal.then(({ ok }) => ok && this.#metrics.changes.inc({ change: "expired" })).catch(() => {});
    }
  }
}

const keyOf = (service: string, id: string): string => `${PREFIX}${service}/${id}`;
