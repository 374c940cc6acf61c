import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/fixtures/discovery/manual-clock.ts";
import { AwayStore } from "../../../test/state/away-store.ts";
import { silentLogger } from "../../log.ts";
import { type RegistryHandlers, registryHandlers } from "./handlers.ts";
import { decodeInstance, encodeInstance, readInstance } from "./instance.ts";
import { Registry } from "./registry.ts";

describe("requests for the registry", () => {
  let store: AwayStore;
  let registry: Registry;
  let handlers: RegistryHandlers;
  const at = { service: "web", id: "a-1" };
  const good = { address: "10.0.0.1", port: 8080 };

  beforeEach(async () => {
    store = new AwayStore();
    registry = new Registry({ store, clock: new ManualClock(), log: silentLogger });
    handlers = registryHandlers(registry);
    await registry.ready;
  });
  afterEach(() => registry.close());

  it("register, renew, change, show and remove an instance", async () => {
    const shown = {
      ...at,
      ...good,
      weight: 1,
      ttl: 30,
      health: "healthy",
      locality: undefined,
      labels: {},
      expiresInMs: 41_000,
    };
    expect(await handlers.register({ ...at, body: good })).toEqual({ status: 201, body: shown });
    expect(await handlers.register({ ...at, body: good })).toEqual({ status: 200, body: shown });
    expect(await handlers.instance(at)).toEqual({ status: 200, body: shown });
    const locality = { region: "eu", zone: "eu-1" };
    const rich = { ...good, weight: 0, ttl: 60, health: "draining", locality, labels: { accelerator: "gpu-a" } };
    expect(await handlers.register({ ...at, body: rich })).toMatchObject({
      status: 200,
      body: { ...rich, locality: { ...locality, subZone: "" } },
    });
    expect(await handlers.services({})).toEqual({
      status: 200,
      body: { services: [{ service: "web", instances: 1 }] },
    });
    expect(await handlers.service({ service: "web" })).toMatchObject({
      status: 200,
      body: { instances: [{ id: "a-1" }] },
    });
    expect(await handlers.service({ service: "none" })).toEqual({
      status: 200,
      body: { service: "none", instances: [] },
    });
    expect(await handlers.deregister(at)).toEqual({ status: 200, body: at });
    for (const answer of [await handlers.deregister(at), await handlers.instance(at), await handlers.heartbeat(at)])
      expect(answer).toMatchObject({ status: 404, body: { error: { code: "TM_REGISTRY_UNKNOWN", details: [] } } });
  });

  it("take heartbeats with nothing, or with a health", async () => {
    await handlers.register({ ...at, body: good });
    for (const body of [undefined, null, {}])
      expect(await handlers.heartbeat({ ...at, body })).toMatchObject({ status: 200, body: { health: "healthy" } });
    expect(await handlers.heartbeat({ ...at, body: { health: "unhealthy" } })).toMatchObject({
      status: 200,
      body: { health: "unhealthy" },
    });
    for (const body of [{ health: "well" }, { health: 1 }, { weight: 1 }, [], "healthy", 7])
      expect(await handlers.heartbeat({ ...at, body })).toMatchObject({ status: 400 });
  });

  it("name every fault of a body, with code and remedy", async () => {
    const body = {
      address: "host",
      port: 0,
      weight: -1,
      ttl: 1,
      health: "well",
      locality: { rack: "1" },
      labels: [],
      x: 1,
    };
    const answer = await handlers.register({ ...at, body });
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { code: "TM_REGISTRY_INVALID", remedy: expect.stringMatching(/^Use names/) } },
    });
    const { error } = answer.body as { error: { message: string; remedy: string } };
    for (const field of ["address", "port", "weight", "ttl", "health", "locality", "labels", `"x"`])
      expect(error.message).toContain(field);
    expect(error.message).not.toContain(error.remedy);
    expect(error.message).not.toContain("TM_");
  });

  it.each([
    ["", "a"],
    ["Web", "a"],
    ["web/x", "a"],
    ["web", ""],
    ["web", "../a"],
    ["web", "a b"],
    ["-web", "a"],
    ["web", "a."],
    ["w".repeat(101), "a"],
    ["web", "i".repeat(81)],
    ["web", "ä"],
  ])("refuse the names %j and %j", async (service, id) => {
    for (const name of ["register", "heartbeat", "deregister", "instance"] as const)
      expect(await handlers[name]({ service, id, body: name === "register" ? good : undefined })).toMatchObject({
        status: 400,
        body: { error: { code: "TM_REGISTRY_INVALID" } },
      });
    expect(store.writes).toEqual([]);
  });

  it("say that the store is away, and take heartbeats meanwhile", async () => {
    await handlers.register({ ...at, body: good });
    store.leave();
    expect((await handlers.heartbeat(at)).status).toBe(200);
    expect((await handlers.service({ service: "web" })).status).toBe(200);
    for (const answer of [
      await handlers.register({ ...at, body: { ...good, weight: 2 } }),
      await handlers.deregister(at),
      await handlers.heartbeat({ service: "web", id: "other" }),
    ])
      expect(answer).toMatchObject({ status: 503, body: { error: { code: "TM_STORE_UNAVAILABLE" } } });
  });

  it("survive any body", async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything({ withNullPrototype: true, withBigInt: true }), async (body) => {
        expect([200, 201, 400]).toContain((await handlers.register({ ...at, body })).status);
        expect([200, 400, 404]).toContain((await handlers.heartbeat({ ...at, body })).status);
      }),
    );
  });

  it("keep instances in records as they were given", () => {
    const text = fc
      .string({ maxLength: 30, unit: "grapheme" })
      .filter((each) => Buffer.byteLength(each) <= 128 && !/\p{Cc}/u.test(each) && each.isWellFormed());
    const name = fc.oneof(
      text.filter((each) => each !== ""),
      fc.constantFrom("__proto__", "constructor"),
    );
    const body = fc.record(
      {
        address: fc.oneof(fc.ipV4(), fc.ipV6()),
        port: fc.integer({ min: 1, max: 65_535 }),
        weight: fc.nat(1_000_000),
        ttl: fc.integer({ min: 3, max: 3_600 }),
        health: fc.constantFrom("healthy", "unhealthy", "draining", "degraded", "unknown"),
        locality: fc.record({ region: text, zone: text, subZone: text }, { requiredKeys: [] }),
        labels: fc.dictionary(name, text, { maxKeys: 5 }),
      },
      { requiredKeys: ["address", "port"] },
    );
    fc.assert(
      fc.property(body, (each) => {
        const read = readInstance(each);
        expect(decodeInstance(encodeInstance(read))).toEqual(read);
        expect(read).toMatchObject({ address: each.address, port: each.port, weight: each.weight ?? 1 });
        expect(encodeInstance(readInstance(JSON.parse(JSON.stringify(each))))).toBe(encodeInstance(read));
      }),
    );
  });
});
