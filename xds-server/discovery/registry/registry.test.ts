import fc from "fast-check";
import { Registry as MetricsRegistry } from "prom-client";
import { afterEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/fixtures/discovery/manual-clock.ts";
import { AwayStore } from "../../../test/state/away-store.ts";
import { type Logger, silentLogger } from "../../log.ts";
import { MemoryRecords } from "../../state/records/memory-store.ts";
import { readInstance } from "./instance.ts";
import { LEASE_LIFE_MS, MAX_INSTANCES } from "./limits.ts";
import { Registry } from "./registry.ts";

const instance = (more: object = {}) => readInstance({ address: "10.0.0.1", port: 8080, ttl: 30, ...more });

/** Replicas on one set of records and one clock. */
class Fleet {
  readonly clock = new ManualClock();
  readonly records = new MemoryRecords();
  readonly replicas: { registry: Registry; store: AwayStore; metrics: MetricsRegistry }[] = [];

  async open(log: Logger = silentLogger) {
    const store = new AwayStore(this.records);
    const replica = `r${this.replicas.length}`;
    const metrics = new MetricsRegistry();
    const registry = new Registry({ store, clock: this.clock, log, replica, metrics });
    const opened = { registry, store, metrics };
    this.replicas.push(opened);
    await registry.ready;
    await this.pass(0);
    return opened;
  }

  /** Time passes in steps of a second; after each, what it has set off happens. */
  async pass(ms: number, each: () => unknown = () => {}): Promise<void> {
    for (let left = ms; left >= 0; left -= 1_000) {
      this.clock.advance(Math.min(1_000, left));
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      await each();
    }
  }
}

describe("the registry of our own", () => {
  const fleets: Fleet[] = [];
  const newFleet = () => {
    const fleet = new Fleet();
    fleets.push(fleet);
    return fleet;
  };
  const ids = (registry: Registry, service = "web") => registry.instances(service).map(({ id }) => id);
  afterEach(() => {
    for (const fleet of fleets.splice(0)) for (const { registry } of fleet.replicas) registry.close();
  });

  it("has an instance from its registration until it leaves, on every replica", async () => {
    const fleet = newFleet();
    const [one, other] = [await fleet.open(), await fleet.open()];
    expect(await one.registry.register("web", "a", instance())).toBe("created");
    expect(one.registry.instance("web", "a")).toEqual({ id: "a", ...instance() });
    await fleet.pass(0);
    expect(ids(other.registry)).toEqual(["a"]);
    expect(await other.registry.register("web", "a", instance({ weight: 5 }))).toBe("changed");
    await fleet.pass(0);
    expect(one.registry.instance("web", "a")?.weight).toBe(5);
    expect(await one.registry.deregister("web", "a")).toBe(true);
    expect(await one.registry.deregister("web", "a")).toBe(false);
    await fleet.pass(0);
    expect([ids(other.registry), [...other.registry.services()]]).toEqual([[], []]);
    expect(await other.registry.heartbeat("web", "a")).toBe(false);
  });

  it("writes nothing for heartbeats but one record for all of them now and then", async () => {
    const fleet = newFleet();
    const { registry, store } = await fleet.open();
    for (const id of ["a", "b", "c"]) await registry.register("web", id, instance());
    await fleet.pass(10_000);
    store.writes.length = 0;
    await fleet.pass(60_000, async () => {
      for (const id of ["a", "b", "c"]) await registry.heartbeat("web", id);
      await registry.register("web", "a", instance());
    });
    expect(ids(registry)).toEqual(["a", "b", "c"]);
    expect(new Set(store.writes)).toEqual(new Set(["registry-leases/r0"]));
    expect(store.writes.length).toBeLessThanOrEqual(13); // each 5 s: a sixth of the time to live
  });

  it("believes an instance for its time to live, and not much longer", async () => {
    const fleet = newFleet();
    const { registry } = await fleet.open();
    await registry.register("web", "short", instance({ ttl: 3 }));
    await registry.register("web", "long", instance({ ttl: 60 }));
    await fleet.pass(5_000);
    expect(ids(registry)).toEqual(["long", "short"]);
    await fleet.pass(3_000);
    expect(ids(registry)).toEqual(["long"]);
    expect(registry.remainingMs("web", "long")).toBeGreaterThan(50_000);
    await fleet.pass(75_000);
    expect(ids(registry)).toEqual([]);
    expect(await registry.heartbeat("web", "long")).toBe(false);
  });

  it("takes heartbeats at any replica, while the others do not hear them themselves", async () => {
    const fleet = newFleet();
    const replicas = [await fleet.open(), await fleet.open(), await fleet.open()];
    await replicas[0]?.registry.register("web", "a", instance({ ttl: 6 }));
    let beats = 0;
    const beat = () => beats++ % 3 === 0 && replicas[((beats / 3) % 3) | 0]?.registry.heartbeat("web", "a");
    await fleet.pass(120_000, beat);
    for (const { registry } of replicas) expect(ids(registry)).toEqual(["a"]);
    // All from now on at one of them.
    await fleet.pass(120_000, () => replicas[2]?.registry.heartbeat("web", "a"));
    for (const { registry } of replicas) expect(ids(registry)).toEqual(["a"]);
    await fleet.pass(12_000);
    for (const { registry } of replicas) expect(ids(registry)).toEqual([]);
  });

  it("does not remove an instance that another replica has changed when its time was over", async () => {
    const fleet = newFleet();
    const [one, other] = [await fleet.open(), await fleet.open()];
    await one.registry.register("web", "a", instance({ ttl: 6 }));
    const remove = one.store.delete;
    let removals = 0;
    Object.assign(one.store, {
      delete: async (...args: Parameters<typeof remove>) => {
        // Both have found it silent, and here its news comes in between.
        if (removals++ === 0) await other.registry.register("web", "a", instance({ ttl: 600, weight: 7 }));
        return remove(...args);
      },
    });
    Object.assign(other.store, { delete: () => new Promise(() => {}) });
    await fleet.pass(60_000);
    expect(removals).toBeGreaterThan(0);
    for (const { registry } of [one, other]) expect(registry.instance("web", "a")).toMatchObject({ weight: 7 });
  });

  it("knows an instance that registered with another replica a moment ago", async () => {
    const fleet = newFleet();
    const [one, other] = [await fleet.open(), await fleet.open()];
    await one.registry.register("web", "a", instance());
    expect(await other.registry.heartbeat("web", "a")).toBe(true);
    await one.registry.register("web", "b", instance());
    expect(await other.registry.deregister("web", "b")).toBe(true);
  });

  it("changes the health with a heartbeat, and writes it once", async () => {
    const fleet = newFleet();
    const { registry, store } = await fleet.open();
    await registry.register("web", "a", instance());
    store.writes.length = 0;
    for (let n = 0; n < 3; n++) await registry.heartbeat("web", "a", "draining");
    expect(registry.instance("web", "a")?.health).toBe("draining");
    expect(store.writes).toEqual(["registry/web/a"]);
  });

  it("after a restart everybody has one time to live to be heard", async () => {
    const fleet = newFleet();
    const first = await fleet.open();
    for (const id of ["a", "b"]) await first.registry.register("web", id, instance({ ttl: 10 }));
    await fleet.pass(5_000);
    first.registry.close();
    await fleet.pass(3_600_000);
    const second = await fleet.open();
    await fleet.pass(9_000);
    expect(ids(second.registry)).toEqual(["a", "b"]);
    await second.registry.heartbeat("web", "a");
    await fleet.pass(8_000);
    expect(ids(second.registry)).toEqual(["a"]);
  });

  it("keeps everybody while the store is away, and one time to live after", async () => {
    const fleet = newFleet();
    const { registry, store } = await fleet.open();
    for (const id of ["a", "b"]) await registry.register("web", id, instance({ ttl: 10 }));
    store.leave();
    await fleet.pass(600_000);
    expect([ids(registry), registry.failure?.message]).toEqual([["a", "b"], "away"]);
    expect(await registry.heartbeat("web", "a")).toBe(true);
    expect(await registry.register("web", "a", instance({ ttl: 10 }))).toBe("renewed");
    await expect(registry.register("web", "c", instance())).rejects.toMatchObject({ reason: "unavailable" });
    await expect(registry.heartbeat("web", "c")).rejects.toMatchObject({ reason: "unavailable" });
    store.comeBack();
    await fleet.pass(9_000);
    expect(ids(registry)).toEqual(["a", "b"]);
    await registry.heartbeat("web", "a");
    await fleet.pass(9_000);
    expect(ids(registry)).toEqual(["a"]);
  });

  it("removes nobody because this process stood still", async () => {
    const fleet = newFleet();
    const { registry } = await fleet.open();
    for (const id of ["a", "b"]) await registry.register("web", id, instance({ ttl: 10 }));
    await fleet.pass(3_000);
    // Timers of a process that was stopped run late, and then once.
    const { clock } = fleet;
    const advance = clock.advance.bind(clock);
    const late: (() => void)[] = [];
    const after = clock.after.bind(clock);
    clock.after = (ms, run) => after(ms, () => late.push(run));
    advance(120_000);
    clock.after = after;
    for (const run of late.splice(0)) run();
    await fleet.pass(9_000);
    expect(ids(registry)).toEqual(["a", "b"]);
    await fleet.pass(10_000);
    expect(ids(registry)).toEqual([]);
  });

  it("never removes many at once: when most are silent together, the way here has failed", async () => {
    const fleet = newFleet();
    const lines: string[] = [];
    const { registry } = await fleet.open((level, message) => level !== "info" && lines.push(message));
    const all = Array.from({ length: 10 }, (_, n) => `i${n}`);
    for (const id of all) await registry.register(id < "i5" ? "web" : "api", id, instance({ ttl: 10 }));
    const count = () => ids(registry, "web").length + ids(registry, "api").length;
    await fleet.pass(300_000);
    expect([count(), registry.holding, lines]).toEqual([
      10,
      true,
      ["most instances send no heartbeats; none of them is removed"],
    ]);
    // The way is there again, for six of them: the others are really gone.
    await fleet.pass(30_000, async () => {
      for (const id of all.slice(0, 6)) await registry.heartbeat(id < "i5" ? "web" : "api", id);
    });
    expect([count(), registry.holding]).toEqual([6, false]);
    // Down to few, of which all may have ended.
    for (const id of all.slice(3, 6)) await registry.deregister(id < "i5" ? "web" : "api", id);
    await fleet.pass(30_000);
    expect(count()).toBe(0);
  });

  it("tells watchers which services are others", async () => {
    const fleet = newFleet();
    const { registry, store } = await fleet.open();
    const told: (string[] | undefined)[] = [];
    const end = registry.watch({ changed: (services) => told.push(services && [...services]) });
    await registry.register("web", "a", instance());
    await registry.register("web", "a", instance());
    await registry.register("api", "a", instance());
    await registry.deregister("web", "a");
    expect(told).toEqual([["web"], ["api"], ["web"]]);
    store.leave();
    store.comeBack();
    await fleet.pass(0);
    expect(told.slice(3)).toEqual([undefined, undefined]);
    end();
    await registry.deregister("api", "a");
    expect(told.length).toBe(5);
  });

  it("removes the record of heartbeats of a replica that is gone", async () => {
    const fleet = newFleet();
    const gone = await fleet.open();
    const { registry } = await fleet.open();
    await gone.registry.register("web", "a", instance({ ttl: 60 }));
    await fleet.pass(15_000);
    gone.registry.close();
    expect([...fleet.records.records.keys()]).toContain("registry-leases/r0");
    await registry.register("web", "b", instance({ ttl: 3_600 }));
    for (let n = 0; n < LEASE_LIFE_MS / 600_000 + 1; n++)
      await fleet.pass(600_000, () => registry.heartbeat("web", "b"));
    expect([...fleet.records.records.keys()]).not.toContain("registry-leases/r0");
  }, 60_000);

  it("takes so many instances, and no more", async () => {
    const fleet = newFleet();
    const value = JSON.stringify(instance());
    for (let n = 0; n < MAX_INSTANCES; n++)
      fleet.records.records.set(`registry/s${n % 7}/i${n}`, { value, version: String(n) });
    const { registry } = await fleet.open();
    await expect(registry.register("web", "a", instance())).rejects.toMatchObject({ code: "TM_REGISTRY_FULL" });
    expect(await registry.register("s1", "i1", instance({ weight: 2 }))).toBe("changed");
    await registry.deregister("s1", "i1");
    expect(await registry.register("web", "a", instance())).toBe("created");
    // The leases of all of them fit into one record.
    for (const [service, count] of registry.services())
      if (count > 0) for (const { id } of registry.instances(service)) await registry.heartbeat(service, id);
    await fleet.pass(12_000);
    expect(Buffer.byteLength(fleet.records.records.get("registry-leases/r0")?.value ?? "")).toBeLessThan(300_000);
  }, 60_000);

  it("keeps what was there when a record cannot be read", async () => {
    const fleet = newFleet();
    const lines: string[] = [];
    const { registry } = await fleet.open((_, message) => lines.push(message));
    await registry.register("web", "a", instance());
    for (const [key, value] of [
      ["registry/web/a", "{"],
      ["registry/web/b", `{"address":"x"}`],
      ["registry-leases/other", "garbage"],
    ] as const) {
      fleet.records.records.set(key, { value, version: "x" });
      fleet.records.observers.changed(key);
    }
    await fleet.pass(0);
    expect(ids(registry)).toEqual(["a"]);
    expect(lines.filter((line) => line.includes("cannot be read")).length).toBe(2);
  });

  it("equals a model: who is heard often enough stays, who leaves goes, and silence ends a life within its slack", async () => {
    const step = fc.record({
      seconds: fc.nat(8),
      replica: fc.nat(1),
      what: fc.constantFrom("register", "heartbeat", "heartbeat", "heartbeat", "leave"),
      id: fc.constantFrom("a", "b", "c"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const fleet = newFleet();
        const replicas = [await fleet.open(), await fleet.open()];
        const last = new Map<string, number>();
        // Whose heartbeats all came in time: one that comes late may cross with his removal at another replica.
        const punctual = new Set<string>();
        const heard = (id: string, now: number, created: boolean) => {
          if (created) punctual.add(id);
          else if (now - (last.get(id) ?? Number.NEGATIVE_INFINITY) > ttl * 1_000) punctual.delete(id);
          last.set(id, now);
        };
        const ttl = 12;
        for (const { seconds, replica, what, id } of steps) {
          await fleet.pass(seconds * 1_000);
          const now = fleet.clock.now();
          for (const { registry } of replicas)
            for (const each of ["a", "b", "c"]) {
              const age = now - (last.get(each) ?? Number.NEGATIVE_INFINITY);
              const there = registry.instance("web", each) !== undefined;
              if (age <= ttl * 1_000 && punctual.has(each)) expect(there).toBe(true);
              // Two lease intervals of 2 s, a look, and a sweep.
              if (age > (ttl + 7) * 1_000) expect(there).toBe(false);
            }
          const registry = replicas[replica]?.registry as Registry;
          if (what === "register") {
            heard(id, now, (await registry.register("web", id, instance({ ttl }))) === "created");
          } else if (what === "heartbeat") {
            if (await registry.heartbeat("web", id)) heard(id, now, false);
          } else if (await registry.deregister("web", id)) last.delete(id);
          await fleet.pass(0);
        }
        for (const { registry } of replicas) registry.close();
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it("measures what there is, and what became of it here", async () => {
    const fleet = newFleet();
    const [one, other] = [await fleet.open(), await fleet.open()];
    const shown = async ({ metrics }: { metrics: MetricsRegistry }) =>
      Object.fromEntries(
        (await metrics.metrics())
          .split("\n")
          .filter((line) => line.startsWith("tokenmesh_registry_") && !line.endsWith(" 0"))
          .map((line) => [line.slice("tokenmesh_registry_".length, line.lastIndexOf(" ")), Number(line.split(" ")[1])]),
      );
    for (const id of ["a", "b", "c", "d", "e"]) await one.registry.register("web", id, instance());
    await one.registry.register("api", "a", instance({ health: "draining" }));
    await one.registry.register("web", "a", instance());
    await fleet.pass(0);
    expect(await other.registry.heartbeat("web", "a")).toBe(true);
    expect(await other.registry.heartbeat("web", "gone")).toBe(false);
    await other.registry.register("web", "b", instance({ weight: 5 }));
    await other.registry.deregister("web", "c");
    await fleet.pass(0);
    const there = { services: 2, 'instances{health="healthy"}': 4, 'instances{health="draining"}': 1 };
    expect(await shown(one)).toEqual({
      ...there,
      'changes_total{change="created"}': 6,
      'heartbeats_total{result="known"}': 1,
    });
    expect(await shown(other)).toEqual({
      ...there,
      'changes_total{change="changed"}': 1,
      'changes_total{change="removed"}': 1,
      'heartbeats_total{result="known"}': 1,
      'heartbeats_total{result="unknown"}': 1,
    });

    // Two of five are silent: they go, and are counted once.
    const beat = async (...ids: string[]) => {
      for (const id of ids) await one.registry.heartbeat("web", id);
    };
    await fleet.pass(60_000, () => beat("a", "b", "d"));
    const all = [await shown(one), await shown(other)];
    expect(all.reduce((sum, each) => sum + (each['changes_total{change="expired"}'] ?? 0), 0)).toBe(2);
    expect(all[0]).toMatchObject({ services: 1, 'instances{health="healthy"}': 3 });
    for (const each of all) expect(each).not.toHaveProperty("overdue");

    // Nobody sends anything: all are overdue, and nobody goes.
    await one.registry.register("web", "f", instance());
    await fleet.pass(60_000);
    expect(await shown(one)).toMatchObject({ overdue: 4, holding: 1, 'instances{health="healthy"}': 4 });
  });
});
