import { describe, expect, it } from "vitest";
import { describeDiscovery, type FixtureEndpoint } from "../../../test/conformance/discovery.ts";
import { AwayStore } from "../../../test/state/away-store.ts";
import { silentLogger } from "../../log.ts";
import { systemClock } from "../clock.ts";
import { NO_MAPPING } from "../endpoint.ts";
import { Registry, registryHandlers, registrySource } from "./index.ts";

describeDiscovery(
  "Discovery by the registry of our own",
  async () => {
    const store = new AwayStore();
    const options = { clock: systemClock, log: silentLogger };
    const registry = new Registry({ store, ...options });
    await registry.ready;
    const handlers = registryHandlers(registry);
    const registered = new Map<string, Map<string, FixtureEndpoint>>();
    const register = async (service: string, { id, ...body }: FixtureEndpoint) => {
      const { status } = await handlers.register({ service, id, body });
      expect([200, 201]).toContain(status);
    };
    return {
      source: registrySource(registry)(SPEC, { name: "default/own", random: () => 0, ...options }),
      put: async (service, endpoints) => {
        const before = registered.get(service) ?? new Map<string, FixtureEndpoint>();
        const after = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]));
        registered.set(service, after);
        for (const endpoint of endpoints) await register(service, endpoint);
        for (const id of before.keys()) if (!after.has(id)) await handlers.deregister({ service, id });
      },
      remove: async (service) => {
        for (const id of registered.get(service)?.keys() ?? []) await handlers.deregister({ service, id });
        registered.delete(service);
      },
      setHealth: async (service, id, health) => {
        expect((await handlers.heartbeat({ service, id, body: { health } })).status).toBe(200);
      },
      stop: async () => store.leave(),
      restart: async () => store.comeBack(),
      close: async () => {
        registry.close();
      },
    };
  },
  { healths: ["healthy", "unhealthy", "draining", "degraded", "unknown"] },
);

const SPEC = { metadata: NO_MAPPING, registry: {} } as unknown as Parameters<ReturnType<typeof registrySource>>[0];

describe("the source of our own registry", () => {
  it("says nothing before the store has said what there is, and then of services without instances too", async () => {
    const store = new AwayStore();
    store.leave();
    const registry = new Registry({ store, clock: systemClock, log: silentLogger });
    const source = registrySource(registry)(SPEC, {
      name: "a/b",
      clock: systemClock,
      random: () => 0,
      log: silentLogger,
    });
    const told: unknown[] = [];
    source.watch("web", { endpoints: (all) => told.push(all), failed: ({ code }) => told.push(code) });
    await Promise.resolve();
    expect(told).toEqual([]);
    store.comeBack();
    await registry.ready;
    expect(told.at(-1)).toEqual([]);
    await source.close();
    registry.close();
  });
});
