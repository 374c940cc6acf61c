import { Registry } from "prom-client";
import { afterEach, describe, expect, it } from "vitest";
import { discovered, discoverySpec } from "../../test/fixtures/discovery/endpoints.ts";
import { ManualClock } from "../../test/fixtures/discovery/manual-clock.ts";
import { scriptedFactory } from "../../test/fixtures/discovery/scripted-source.ts";
import type { DiscoverySourceSpec } from "../config/discovery-model.ts";
import type { DiscoverySource, Metadata, ServiceEntry } from "../config/model.ts";
import { type Logger, silentLogger } from "../log.ts";
import { MemoryStore } from "../state/records/memory-store.ts";
import { EndpointMemory } from "./endpoint-memory.ts";
import { DiscoveryError } from "./errors.ts";
import { DRAIN_LEAST_MS, REMEMBERED_AFTER_MS } from "./limits.ts";
import { DiscoveryManager, type DiscoveryOptions } from "./manager.ts";

const meta = (name: string, annotations: Record<string, string> = {}, namespace = "default"): Metadata => ({
  name,
  namespace,
  annotations: new Map(Object.entries(annotations)),
});

function entry(name: string, from: string | undefined, { namespace = "default", ports = ["http"] } = {}): ServiceEntry {
  return {
    metadata: meta(name, from === undefined ? {} : { "tokenmesh.io/endpoints-from": from }, namespace),
    hosts: [`${name}.test`],
    ports: ports.map((each, i) => ({ number: 80 + i, name: each, protocol: "HTTP", targetPort: undefined })),
    resolution: "STATIC",
    endpoints: [],
  };
}

const source = (name: string, more: Partial<DiscoverySourceSpec> = {}, namespace = "default"): DiscoverySource => ({
  metadata: meta(name, {}, namespace),
  spec: discoverySpec({ registry: {}, ...more }),
});

const down = new DiscoveryError("TM_DISCOVERY_UNREACHABLE", "connection refused");
const open: DiscoveryManager[] = [];

afterEach(async () => {
  for (const manager of open.splice(0)) await manager.close();
});

function setUp(options: Partial<DiscoveryOptions> & { readonly failures?: Error[] } = {}) {
  const { failures, ...rest } = options;
  const clock = new ManualClock();
  const { factory, made } = scriptedFactory(failures);
  const now = () => 1_000_000 + clock.now();
  const manager = new DiscoveryManager({ factory, clock, now, random: () => 1, log: silentLogger, ...rest });
  open.push(manager);
  const told: string[][] = [];
  manager.watch((entries) => told.push([...entries].sort()));
  return { clock, made, manager, told, now };
}

const shown = (manager: DiscoveryManager, of: ServiceEntry) =>
  manager.endpointsOf(of)?.map(({ address, health }) => `${address.split(".")[3]} ${health}`);

describe("the manager of service discovery", () => {
  it("watches what ServiceEntries name, once each, and gives them their endpoints", () => {
    const { made, manager, told } = setUp();
    const web = entry("web", "consul");
    const same = entry("same", "consul/web");
    const other = entry("other", "consul/Other");
    const apart = entry("apart", undefined);
    manager.configure({
      discoverySources: [source("consul"), source("idle")],
      serviceEntries: [web, same, other, apart],
    });
    expect(made).toHaveLength(1);
    expect([...(made[0]?.watches.keys() ?? [])].sort()).toEqual(["Other", "web"]);
    expect(manager.endpointsOf(web)).toBeUndefined();

    made[0]?.of("web").endpoints([discovered(1, { weight: 7, labels: new Map([["version", "v1"]]) })]);
    expect(told).toEqual([["default/same", "default/web"]]);
    expect(manager.endpointsOf(web)).toEqual([
      {
        address: "10.0.0.1",
        ports: new Map([["http", 8001]]),
        labels: new Map([["version", "v1"]]),
        weight: 7,
        locality: undefined,
        health: "healthy",
      },
    ]);
    expect(manager.endpointsOf(same)).toBe(manager.endpointsOf(web));
    expect(manager.endpointsOf(other)).toBeUndefined();
    expect(manager.endpointsOf(apart)).toBeUndefined();
  });

  it("gives a service of several ports the named ones, and the endpoint's own for the rest", () => {
    const { made, manager } = setUp();
    const web = entry("web", "s", { ports: ["http", "grpc"] });
    manager.configure({ discoverySources: [source("s")], serviceEntries: [web] });
    made[0]?.of("web").endpoints([discovered(1, { ports: new Map([["grpc", 9090]]) })]);
    expect(manager.endpointsOf(web)?.[0]?.ports).toEqual(
      new Map([
        ["http", 8001],
        ["grpc", 9090],
      ]),
    );
  });

  it("gives the same object as long as nothing changes, for an equal ServiceEntry of a new model too", () => {
    const { clock, made, manager, told } = setUp();
    const model = () => ({ discoverySources: [source("s")], serviceEntries: [entry("web", "s")] });
    manager.configure(model());
    made[0]?.of("web").endpoints([discovered(1)]);
    const before = manager.endpointsOf(entry("web", "s"));
    made[0]?.of("web").endpoints([discovered(1)]);
    manager.configure(model());
    clock.advance(60_000);
    expect(manager.endpointsOf(entry("web", "s"))).toBe(before);
    expect(told).toHaveLength(1);
    expect(made).toHaveLength(1);
  });

  it("looks sources up in the namespace of the ServiceEntry only", () => {
    const { made, manager } = setUp();
    const mine = entry("web", "s", { namespace: "a" });
    const foreign = entry("web", "s", { namespace: "b" });
    manager.configure({ discoverySources: [source("s", {}, "a")], serviceEntries: [mine, foreign] });
    made[0]?.of("web").endpoints([discovered(1)]);
    expect(shown(manager, mine)).toEqual(["1 healthy"]);
    expect(manager.endpointsOf(foreign)).toBeUndefined();
  });

  it("begins and ends watches as models change, and keeps what is known of the others", async () => {
    const { made, manager } = setUp();
    const [web, api] = [entry("web", "s"), entry("api", "s")];
    manager.configure({ discoverySources: [source("s")], serviceEntries: [web, api] });
    for (const service of ["web", "api"]) made[0]?.of(service).endpoints([discovered(1)]);
    manager.configure({ discoverySources: [source("s")], serviceEntries: [web] });
    expect([...(made[0]?.watches.keys() ?? [])]).toEqual(["web"]);
    expect(shown(manager, web)).toEqual(["1 healthy"]);
    expect(manager.endpointsOf(api)).toBeUndefined();
    manager.configure({ discoverySources: [], serviceEntries: [web] });
    expect(made[0]?.closed).toBe(true);
    expect(manager.endpointsOf(web)).toBeUndefined();
    manager.configure({ discoverySources: [source("s")], serviceEntries: [] });
    expect(made).toHaveLength(1);
  });

  it("makes a changed source anew; until that answers the endpoints stay, of unconfirmed age, and then the difference drains", () => {
    const { clock, made, manager } = setUp();
    const web = entry("web", "s");
    const dns = (port: number) => source("s", { registry: undefined, dns: { resolvers: [], kinds: ["A"], port } });
    manager.configure({ discoverySources: [dns(1)], serviceEntries: [web] });
    made[0]?.of("web").endpoints([discovered(1)]);
    manager.configure({ discoverySources: [dns(2)], serviceEntries: [web] });
    expect(made).toHaveLength(2);
    expect(made[0]?.closed).toBe(true);
    clock.advance(5_000);
    expect(shown(manager, web)).toEqual(["1 healthy"]);
    expect(manager.view()[0]?.services[0]?.ageSeconds).toBe(5);
    made[0]?.observers[0]?.observer.endpoints([discovered(9)]);
    made[0]?.observers[0]?.observer.failed(down);
    clock.advance(5_000);
    expect(shown(manager, web)).toEqual(["1 healthy"]);
    expect(manager.view()[0]?.services[0]?.error).toBeUndefined();
    made[1]?.of("web").endpoints([discovered(2)]);
    clock.advance(100);
    expect(shown(manager, web)).toEqual(["1 draining", "2 healthy"]);
    expect(manager.view()[0]?.services[0]?.ageSeconds).toBe(0);
  });

  it("takes other times to drain and to be quiet without a new source", () => {
    const { clock, made, manager } = setUp();
    const web = entry("web", "s");
    manager.configure({ discoverySources: [source("s")], serviceEntries: [web] });
    made[0]?.of("web").endpoints([discovered(1)]);
    manager.configure({ discoverySources: [source("s", { quiet: 0, drain: 0 })], serviceEntries: [web] });
    expect(made).toHaveLength(1);
    made[0]?.of("web").endpoints([]);
    clock.advance(0);
    expect(manager.endpointsOf(web)).toEqual([]);
  });

  it("tries again to make a source that cannot start, with growing pauses", () => {
    const secret = () => new DiscoveryError("TM_DISCOVERY_SECRET", "file token cannot be read (ENOENT)");
    const { clock, made, manager } = setUp({ failures: [secret(), secret(), new TypeError("x is not a function")] });
    const web = entry("web", "s");
    manager.configure({ discoverySources: [source("s")], serviceEntries: [web] });
    expect(manager.view()[0]?.services[0]?.error?.code).toBe("TM_DISCOVERY_SECRET");
    clock.advance(499);
    expect(manager.view()[0]?.services[0]?.error?.code).toBe("TM_DISCOVERY_SECRET");
    clock.advance(1 + 1_000);
    expect(manager.view()[0]?.services[0]?.error?.code).toBe("TM_DISCOVERY_FAILED");
    expect(made).toHaveLength(0);
    manager.configure({ discoverySources: [source("s")], serviceEntries: [web, entry("api", "s")] });
    expect(made).toHaveLength(0);
    clock.advance(2_000);
    expect([...(made[0]?.watches.keys() ?? [])]).toEqual(["web", "api"]);
    made[0]?.of("web").endpoints([discovered(1)]);
    expect(manager.view()[0]?.services[0]?.error).toBeUndefined();
  });

  it("makes a source anew when a map in its specification changes", () => {
    const { made, manager } = setUp();
    const labels = (key: string) =>
      source("s", { metadata: { ...discoverySpec().metadata, labels: new Map([["gpu", key]]) } });
    for (const key of ["a", "a", "b"])
      manager.configure({ discoverySources: [labels(key)], serviceEntries: [entry("web", "s")] });
    expect(made).toHaveLength(2);
  });

  it("hears nothing of a former source while the next one cannot start, and begins its pauses anew", () => {
    const failures: Error[] = [];
    const { clock, made, manager } = setUp({ failures });
    const web = entry("web", "s");
    const dns = (port: number) => source("s", { registry: undefined, dns: { resolvers: [], kinds: ["A"], port } });
    for (const port of [1, 2]) {
      failures.push(down, down);
      manager.configure({ discoverySources: [dns(port)], serviceEntries: [web] });
      made.at(-1)?.observers[0]?.observer.endpoints([discovered(9)]);
      expect(manager.endpointsOf(web)).toBeUndefined();
      clock.advance(499);
      expect(failures).toHaveLength(1);
      clock.advance(1 + 1_000);
      expect(made).toHaveLength(port);
    }
  });

  it("gives up on a source that cannot start when it is no longer configured", () => {
    const { clock, made, manager } = setUp({ failures: [down] });
    manager.configure({ discoverySources: [source("s")], serviceEntries: [entry("web", "s")] });
    manager.configure({ discoverySources: [], serviceEntries: [] });
    expect(clock.waiting).toBe(0);
    clock.advance(60_000);
    expect(made).toHaveLength(0);
  });

  it("ends draining when load reports say that nothing is under way", () => {
    const underWay = new Map([["10.0.0.1:8001", 2]]);
    const { clock, made, manager, told } = setUp({
      inProgress: (address, port) => underWay.get(`${address}:${port}`),
    });
    const web = entry("web", "s");
    manager.configure({ discoverySources: [source("s", { drain: 60_000 })], serviceEntries: [web] });
    made[0]?.of("web").endpoints([discovered(1), discovered(2)]);
    made[0]?.of("web").endpoints([]);
    clock.advance(DRAIN_LEAST_MS + 5_000);
    expect(shown(manager, web)).toEqual(["1 draining", "2 draining"]);
    underWay.set("10.0.0.1:8001", 0);
    clock.advance(1_000);
    expect(shown(manager, web)).toEqual(["2 draining"]);
    clock.advance(60_000);
    expect(manager.endpointsOf(web)).toEqual([]);
    expect(told).toHaveLength(4);
    expect(clock.waiting).toBe(0);
  });

  it("shows people what is known, and counts it", async () => {
    const registry = new Registry();
    const { clock, made, manager } = setUp({ registry });
    manager.configure({ discoverySources: [source("s")], serviceEntries: [entry("web", "s"), entry("api", "s")] });
    made[0]
      ?.of("web")
      .endpoints([discovered(1, { labels: new Map([["a", "b"]]) }), discovered(2, { health: "unhealthy" })]);
    made[0]?.of("web").failed(down);
    clock.advance(90_000);
    expect(manager.view()).toEqual([
      {
        name: "default/s",
        kind: "registry",
        services: [
          { service: "api", entries: ["default/api"], condition: "waiting", ageSeconds: 90, endpoints: [] },
          {
            service: "web",
            entries: ["default/web"],
            condition: "failing",
            ageSeconds: 90,
            error: { code: "TM_DISCOVERY_UNREACHABLE", message: down.message },
            endpoints: [
              expect.objectContaining({ id: "i-1", health: "healthy", labels: { a: "b" } }),
              expect.objectContaining({ id: "i-2", health: "unhealthy" }),
            ],
          },
        ],
      },
    ]);
    const text = await registry.metrics();
    expect(text).toContain('tokenmesh_discovery_age_seconds{source="default/s",service="web"} 90');
    expect(text).toContain('tokenmesh_discovery_age_seconds{source="default/s",service="api"} 90');
    expect(text).toContain('tokenmesh_discovery_endpoints{source="default/s",service="web",health="unhealthy"} 1');
    expect(text).toContain('tokenmesh_discovery_answers_total{source="default/s"} 1');
    expect(text).toContain('tokenmesh_discovery_failures_total{source="default/s",code="TM_DISCOVERY_UNREACHABLE"} 1');
    expect(text).toContain('tokenmesh_discovery_changes_total{source="default/s"} 1');
    manager.configure({ discoverySources: [source("s")], serviceEntries: [entry("web", "s")] });
    expect(await registry.metrics()).not.toContain('service="api"');
  });

  it("logs an outage once, and its end", () => {
    const lines: string[] = [];
    const log: Logger = (level, message) => lines.push(`${level} ${message}`);
    const { made, manager } = setUp({ log });
    manager.configure({ discoverySources: [source("s")], serviceEntries: [entry("web", "s")] });
    for (let i = 0; i < 5; i++) made[0]?.of("web").failed(down);
    made[0]?.of("web").endpoints([]);
    made[0]?.of("web").endpoints([]);
    expect(lines).toEqual([
      "warn service discovery failed; the last good endpoints stay",
      "info service discovery answers again",
    ]);
  });

  it("says nothing after it is closed, and leaves no timer", async () => {
    const { clock, made, manager, told } = setUp();
    const web = entry("web", "s");
    manager.configure({ discoverySources: [source("s")], serviceEntries: [web] });
    made[0]?.of("web").endpoints([discovered(1)]);
    made[0]?.of("web").endpoints([discovered(2)]);
    await manager.close();
    expect(clock.waiting).toBe(0);
    made[0]?.observers[0]?.observer.endpoints([discovered(3)]);
    clock.advance(60_000);
    expect(told).toHaveLength(1);
    expect(made[0]?.closed).toBe(true);
    manager.configure({ discoverySources: [source("t")], serviceEntries: [entry("api", "t")] });
    expect(made).toHaveLength(1);
  });
});

describe("endpoints over a restart", () => {
  it("are written once for a change, and before the end of the server", async () => {
    const store = new MemoryStore();
    const gets: string[] = [];
    const slow = {
      get: (key: string) => {
        gets.push(key);
        return store.get(key);
      },
      delete: (key: string) => store.delete(key),
      put: async (key: string, value: string) => {
        await new Promise((resolve) => setImmediate(resolve));
        return store.put(key, value);
      },
    };
    const memory = new EndpointMemory({ store: slow, now: () => 0, log: silentLogger });
    const { made, manager } = setUp({ memory });
    manager.configure({ discoverySources: [source("s")], serviceEntries: [entry("web", "s")] });
    for (let i = 0; i < 5; i++) made[0]?.of("web").endpoints([discovered(1)]);
    await memory.settled();
    for (let i = 0; i < 5; i++) made[0]?.of("web").failed(down);
    await manager.close();
    expect((await store.list("endpoints/")).size).toBe(1);
    // One to remember, one to compare.
    expect(gets).toHaveLength(2);

    const next = setUp({ memory });
    next.manager.configure({ discoverySources: [source("s")], serviceEntries: [entry("web", "s")] });
    next.made[0]?.of("web").endpoints([discovered(2)]);
    await next.manager.close();
    expect((await memory.load("default/s", "web"))?.endpoints).toEqual([discovered(2)]);
  });

  it("are those of the former run while the source is down, with their age, until it answers", async () => {
    const store = new MemoryStore();
    const memory = (now: () => number) => new EndpointMemory({ store, now, log: silentLogger });
    const web = entry("web", "s");
    const model = { discoverySources: [source("s")], serviceEntries: [web] };
    const before = setUp({ memory: memory(() => 1_000_000) });
    before.manager.configure(model);
    before.made[0]?.of("web").endpoints([discovered(1), discovered(2)]);
    await before.manager.close();

    const after = setUp({ memory: memory(() => 1_060_000), now: () => 1_060_000 });
    after.manager.configure(model);
    after.made[0]?.of("web").failed(down);
    await new Promise((resolve) => setImmediate(resolve));
    expect(shown(after.manager, web)).toEqual(["1 healthy", "2 healthy"]);
    expect(after.manager.view()[0]?.services[0]).toMatchObject({ condition: "remembered", ageSeconds: 60 });
    expect(after.told).toEqual([["default/web"]]);
    after.made[0]?.of("web").endpoints([discovered(2)]);
    expect(shown(after.manager, web)).toEqual(["1 draining", "2 healthy"]);
  });

  it("are the source's when it answers in time, and what was remembered of services that nobody names is deleted", async () => {
    const store = new MemoryStore();
    const memory = new EndpointMemory({ store, now: () => 0, log: silentLogger });
    memory.save("default/s", "web", [discovered(7)]);
    await memory.settled();
    const { clock, made, manager } = setUp({ memory });
    const web = entry("web", "s");
    manager.configure({ discoverySources: [source("s")], serviceEntries: [web] });
    made[0]?.of("web").endpoints([discovered(1)]);
    await memory.settled();
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(REMEMBERED_AFTER_MS * 2);
    expect(shown(manager, web)).toEqual(["1 healthy"]);
    manager.configure({ discoverySources: [source("s")], serviceEntries: [] });
    await memory.settled();
    expect((await store.list("endpoints/")).size).toBe(0);
  });
});
