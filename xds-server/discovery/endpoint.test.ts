import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MetadataMapping } from "../config/discovery-model.ts";
import { NO_MAPPING, type RawEndpoint, readEndpoints, sameEndpoint, sameEndpoints } from "./endpoint.ts";
import { DiscoveryError } from "./errors.ts";
import {
  MAX_ENDPOINTS,
  MAX_ID_BYTES,
  MAX_LABEL_KEY_BYTES,
  MAX_LABEL_VALUE_BYTES,
  MAX_LABELS,
  MAX_LOCALITY_BYTES,
  MAX_PORTS,
  MAX_WEIGHT,
} from "./limits.ts";
import type { EndpointHealth } from "./source.ts";

const raw = (more: Partial<RawEndpoint> = {}): RawEndpoint => ({
  id: "a",
  address: "10.0.0.1",
  port: 80,
  health: "healthy",
  ...more,
});
const one = (more: Partial<RawEndpoint>, mapping: Partial<MetadataMapping> = {}) =>
  readEndpoints([raw(more)], { ...NO_MAPPING, ...mapping }).endpoints[0];

describe("instances as endpoints", () => {
  it("are sorted, each address and port once: the better one, whatever the order", () => {
    const instances = [
      raw({ id: "c", address: "10.0.0.2", port: 80 }),
      raw({ id: "b", health: "unhealthy" }),
      raw({ id: "a", health: "draining" }),
      raw({ id: "z", port: 81 }),
      raw({ id: "d", address: "10.0.0.2", port: 80 }),
    ];
    for (const order of [instances, [...instances].reverse()]) {
      expect(readEndpoints(order, NO_MAPPING).endpoints.map(({ id, port }) => `${id} ${port}`)).toEqual([
        "a 80",
        "z 81",
        "c 80",
      ]);
    }
  });

  it("are left out without a usable address, port or id, with the first reasons; the others stay", () => {
    const bad = [
      raw({ address: "web.test" }),
      raw({ address: "fe80::1%eth0" }),
      raw({ address: "" }),
      ...["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:0.0.0.0"].map((address) =>
        raw({ address }),
      ),
      raw({ port: 0 }),
      raw({ port: 65_536 }),
      raw({ port: 1.5 }),
      raw({ port: Number.NaN }),
      raw({ id: "" }),
      raw({ id: "x".repeat(MAX_ID_BYTES + 1) }),
    ];
    const { endpoints, skipped, reasons } = readEndpoints([...bad, raw()], NO_MAPPING);
    expect(endpoints).toHaveLength(1);
    expect(skipped).toBe(bad.length);
    expect(reasons).toHaveLength(5);
    expect(reasons[0]).toBe('address "web.test" is not an IP address');
    for (const each of bad) {
      expect(() => readEndpoints([each], NO_MAPPING)).toThrow(/^TM_DISCOVERY_MALFORMED none of 1 instances is usable/);
    }
  });

  it("have addresses in lower case", () => {
    expect(one({ address: "2001:DB8::A" })?.address).toBe("2001:db8::a");
  });

  it("may be none, but not more than the bound", () => {
    expect(readEndpoints([], NO_MAPPING)).toEqual({ endpoints: [], skipped: 0, reasons: [] });
    const endless = (function* () {
      for (let i = 0; ; i++) yield raw({ id: `${i}`, port: (i % 60_000) + 1 });
    })();
    expect(() => readEndpoints(endless, NO_MAPPING)).toThrow(/^TM_DISCOVERY_TOO_LARGE/);
    const most = Array.from({ length: MAX_ENDPOINTS }, (_, i) => raw({ port: i + 1 }));
    expect(readEndpoints(most, NO_MAPPING).endpoints).toHaveLength(MAX_ENDPOINTS);
  });

  it("have a whole weight from 1; one of 0 drains, and stays unhealthy where it is", () => {
    expect(one({})?.weight).toBe(1);
    expect(one({ weight: 7.6 })).toMatchObject({ weight: 8, health: "healthy" });
    expect(one({ weight: 0.2 })).toMatchObject({ weight: 1, health: "healthy" });
    expect(one({ weight: 2e9 })?.weight).toBe(MAX_WEIGHT);
    expect(one({ weight: Number.POSITIVE_INFINITY })?.weight).toBe(MAX_WEIGHT);
    for (const weight of [0, -1, Number.NaN]) expect(one({ weight })).toMatchObject({ weight: 1, health: "draining" });
    expect(one({ weight: 0, health: "unhealthy" })).toMatchObject({ weight: 1, health: "unhealthy" });
  });

  it("take weight, locality and labels from the metadata as the mapping says, before the source's own", () => {
    const metadata = Object.entries({ w: "30", r: "eu", z: "eu-1", s: "rack", gpu: "a100", other: "x" });
    const mapping = { weight: "w", region: "r", zone: "z", subZone: "s" };
    const own = {
      weight: 5,
      locality: { region: "us", zone: "us-1", subZone: "" },
      labels: [
        ["own", "1"],
        ["gpu", "own"],
      ] as const,
    };
    expect(one({ ...own, metadata }, mapping)).toMatchObject({
      weight: 30,
      locality: { region: "eu", zone: "eu-1", subZone: "rack" },
      labels: new Map([
        ["gpu", "own"],
        ["other", "x"],
        ["own", "1"],
      ]),
    });
    expect(
      one(
        { ...own, metadata },
        {
          ...mapping,
          labels: new Map([
            ["accelerator", "gpu"],
            ["none", "nothing"],
          ]),
        },
      )?.labels,
    ).toEqual(
      new Map([
        ["accelerator", "a100"],
        ["gpu", "own"],
        ["own", "1"],
      ]),
    );
    expect(one({ ...own, metadata: [["z", "eu-9"]] }, mapping)).toMatchObject({
      weight: 5,
      locality: { region: "us", zone: "eu-9", subZone: "" },
    });
    for (const weight of ["x", "-1", "1e9", "", "9999999999"])
      expect(one({ weight: 5, metadata: [["w", weight]] }, mapping)?.weight).toBe(5);
    expect(one({ metadata: [["w", "0"]] }, mapping)?.health).toBe("draining");
  });

  it("have no locality when nothing says one, and lose what is too long or has control characters", () => {
    expect(one({})).not.toHaveProperty("locality");
    expect(one({ locality: { region: "", zone: "" } })).not.toHaveProperty("locality");
    expect(one({ locality: { region: "x".repeat(MAX_LOCALITY_BYTES + 1) } })).not.toHaveProperty("locality");
    expect(one({ locality: { region: "a\nb", zone: "z" } })?.locality).toEqual({ region: "", zone: "z", subZone: "" });
    const labels = [
      ["ok", "v".repeat(MAX_LABEL_VALUE_BYTES)],
      ["long", "v".repeat(MAX_LABEL_VALUE_BYTES + 1)],
      ["x".repeat(MAX_LABEL_KEY_BYTES + 1), "v"],
      ["", "v"],
      ["line", "a\r\nb"],
      ["nul", "\0"],
      ["empty", ""],
    ] as const;
    expect([...(one({ labels })?.labels.keys() ?? [])]).toEqual(["empty", "ok"]);
  });

  it("have bounded labels and ports; what the mapping names is never lost", () => {
    const many = Array.from({ length: 500 }, (_, i) => [`k${i}`, "v"] as const);
    const labels = one(
      { labels: many, metadata: [["gpu", "a100"]] },
      { labels: new Map([["accelerator", "gpu"]]) },
    )?.labels;
    expect(labels?.size).toBe(MAX_LABELS);
    expect(labels?.get("accelerator")).toBe("a100");
    const ports = new Map(Array.from({ length: 500 }, (_, i) => [`p${i}`, i] as const));
    expect(one({ ports })?.ports?.size).toBe(MAX_PORTS);
    expect(one({ ports })?.ports?.has("p0")).toBe(false);
    expect(one({ ports: new Map([["bad", 0]]) })).not.toHaveProperty("ports");
  });

  it("compare equal exactly when everything is equal", () => {
    const base = one({ ports: new Map([["a", 1]]), locality: { zone: "z" }, labels: [["k", "v"]] });
    if (base === undefined) throw new Error("no endpoint");
    expect(sameEndpoint(base, { ...base, labels: new Map(base.labels) })).toBe(true);
    const others = [
      { ...base, id: "b" },
      { ...base, address: "10.0.0.2" },
      { ...base, port: 81 },
      { ...base, weight: 2 },
      { ...base, health: "unhealthy" as EndpointHealth },
      { ...base, locality: { region: "", zone: "y", subZone: "" } },
      { ...base, locality: { region: "r", zone: "z", subZone: "" } },
      { ...base, locality: { region: "", zone: "z", subZone: "s" } },
      { ...base, labels: new Map([["k", "w"]]) },
      { ...base, labels: new Map() },
      { ...base, ports: new Map([["a", 2]]) },
    ];
    for (const other of others) expect(sameEndpoint(base, other), JSON.stringify(other)).toBe(false);
    const { locality: _l, ports: _p, ...bare } = base;
    expect(sameEndpoint(base, bare)).toBe(false);
    expect(sameEndpoint(bare, bare)).toBe(true);
    expect(sameEndpoints([base], [base, base])).toBe(false);
    expect(sameEndpoints([], [])).toBe(true);
  });

  it("are within their bounds, whatever comes", () => {
    const anything = fc.record({
      id: fc.string({ maxLength: 600 }),
      address: fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()),
      port: fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.double()),
      weight: fc.option(fc.double(), { nil: undefined }),
      health: fc.constantFrom<EndpointHealth>("healthy", "unhealthy", "draining", "degraded", "unknown"),
      metadata: fc.array(fc.tuple(fc.string(), fc.string({ maxLength: 600 })), { maxLength: 80 }),
      labels: fc.array(fc.tuple(fc.constantFrom("__proto__", "constructor", "a"), fc.string()), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 4 }), (instances) => {
        try {
          for (const { weight, port, labels, id, address } of readEndpoints(instances, NO_MAPPING).endpoints) {
            expect(Number.isInteger(weight) && weight >= 1 && weight <= MAX_WEIGHT).toBe(true);
            expect(Number.isInteger(port) && port >= 1 && port <= 65_535).toBe(true);
            expect(labels.size).toBeLessThanOrEqual(MAX_LABELS);
            expect(id.length).toBeGreaterThan(0);
            expect(address).toMatch(/^[0-9a-f:.]+$/);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(DiscoveryError);
        }
      }),
    );
  });
});
