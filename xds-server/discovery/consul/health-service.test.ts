import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { consulSpec } from "../../../test/fixtures/discovery/consul-fixture.ts";
import { readEndpoints } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import { readHealthService } from "./health-service.ts";

const node = { Node: "n1", Address: "10.0.0.9", Meta: { "consul-version": "1.21.0", rack: "r7", tier: "node" } };
const service = { ID: "web-1", Service: "web", Address: "10.0.0.1", Port: 80, Tags: [], Meta: {} };
const read = (changes: Record<string, unknown> = {}, checks: unknown = [], nodeChanges: Record<string, unknown> = {}) =>
  readHealthService([{ Node: { ...node, ...nodeChanges }, Service: { ...service, ...changes }, Checks: checks }])[0];
const check = (Status: string, CheckID = "c") => ({ CheckID, Status });

describe("answer of /v1/health/service", () => {
  it("is a list of instances", () => {
    expect(readHealthService([])).toEqual([]);
    const { metadata, ...instance } = read() ?? {};
    expect(instance).toEqual({
      id: "n1/web-1",
      address: "10.0.0.1",
      port: 80,
      weight: undefined,
      health: "healthy",
      locality: { region: "", zone: "" },
    });
    expect([...(metadata ?? [])]).toEqual([
      ["rack", "r7"],
      ["tier", "node"],
    ]);
  });

  it("takes the address of the node when the service has none, and its name when it has no ID", () => {
    expect(read({ Address: "" })?.address).toBe("10.0.0.9");
    expect(read({ ID: undefined })?.id).toBe("n1/web");
  });

  it.each([
    ["no check", [], "healthy"],
    ["no list", null, "healthy"],
    ["passing", [check("passing"), check("passing")], "healthy"],
    ["warning", [check("warning"), check("passing")], "healthy"],
    ["critical among others", [check("passing"), check("critical"), check("warning")], "unhealthy"],
    ["a state that Consul does not have", [check("odd"), check("warning")], "unknown"],
    ["critical and odd", [check("odd"), check("critical")], "unhealthy"],
    ["maintenance of the service", [check("critical"), check("critical", "_service_maintenance:web-1")], "draining"],
    ["maintenance of the node", [check("critical", "_node_maintenance"), check("critical")], "draining"],
    ["a check with such a name that passes", [check("passing", "_node_maintenance")], "healthy"],
  ])("maps %s", (_, checks, health) => {
    expect(read({}, checks)?.health).toBe(health);
  });

  it("takes the weight for the state", () => {
    const Weights = { Passing: 10, Warning: 2 };
    expect(read({ Weights })?.weight).toBe(10);
    expect(read({ Weights }, [check("warning")])?.weight).toBe(2);
    expect(read({ Weights }, [check("critical")])?.weight).toBe(10);
    for (const wrong of [{ Passing: -1 }, { Passing: "10" }, { Passing: Number.NaN }, null, 3])
      expect(read({ Weights: wrong })?.weight).toBeUndefined();
  });

  it("drains an instance whose weight for its state is 0", () => {
    const raw = readHealthService([
      { Node: node, Service: { ...service, Weights: { Passing: 10, Warning: 0 } }, Checks: [check("warning")] },
    ]);
    const [endpoint] = readEndpoints(raw, consulSpec("h").metadata).endpoints;
    expect(endpoint).toMatchObject({ health: "draining", weight: 1 });
  });

  it("takes the locality of the service before that of its node", () => {
    const Locality = { Region: "eu", Zone: "eu-1" };
    expect(read({ Locality })?.locality).toEqual({ region: "eu", zone: "eu-1" });
    expect(read({}, [], { Locality })?.locality).toEqual({ region: "eu", zone: "eu-1" });
    expect(read({ Locality: { Region: "us", Zone: "" } }, [], { Locality })?.locality?.region).toBe("us");
  });

  it("reads tags as pairs, and metadata of the service goes before tags and those before the node's", () => {
    const Tags = ["model.tokenmesh.io/llama=8b=q4", "gpu", "tier=tag", "=odd", "", 7, "rack=tag"];
    const metadata = new Map(read({ Tags, Meta: { tier: "service", n: 1 } })?.metadata ?? []);
    expect(Object.fromEntries(metadata)).toEqual({
      rack: "tag",
      tier: "service",
      "model.tokenmesh.io/llama": "8b=q4",
      gpu: "true",
      "=odd": "true",
    });
  });

  it("reads so many tags and pairs and no more", () => {
    const Tags = Array.from({ length: 10_000 }, (_, i) => `t${i}`);
    expect([...(read({ Tags })?.metadata ?? [])]).toHaveLength(256 + 2);
  });

  it.each([null, 7, "x", {}, [null], [{}], [{ Node: {} }], [{ Node: [], Service: {} }]])("refuses %j", (body) => {
    expect(() => readHealthService(body)).toThrow(DiscoveryError);
  });

  it("refuses more instances than a service may have", () => {
    expect(() => readHealthService(new Array(10_001).fill({ Node: node, Service: service }))).toThrow(
      "10000 instances",
    );
    expect(readHealthService(new Array(10_000).fill({ Node: node, Service: service }))).toHaveLength(10_000);
  });

  it("never throws anything else, whatever JSON says", () => {
    const anything = fc.jsonValue({ maxDepth: 3 });
    const odd = fc.record({
      Node: fc.oneof(anything, fc.record({ Node: anything, Address: anything, Meta: anything, Locality: anything })),
      Service: fc.oneof(
        anything,
        fc.record({
          ID: anything,
          Address: anything,
          Port: anything,
          Tags: anything,
          Meta: anything,
          Weights: anything,
        }),
      ),
      Checks: fc.oneof(anything, fc.array(fc.record({ CheckID: anything, Status: anything }))),
    });
    fc.assert(
      fc.property(fc.oneof(anything, fc.array(odd, { maxLength: 4 })), (body) => {
        try {
          readEndpoints(readHealthService(body), consulSpec("h").metadata);
        } catch (error) {
          expect(error).toBeInstanceOf(DiscoveryError);
          expect((error as Error).message.length).toBeLessThan(1_024);
        }
      }),
    );
  });
});
