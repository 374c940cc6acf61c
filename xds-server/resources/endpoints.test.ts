import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeAny, TypeUrl, toJson } from "../../protos/index.ts";
import type { Endpoint, EndpointHealth } from "../config/model.ts";
import type { EndpointWeights } from "./endpoint-weights.ts";
import { clusterLoadAssignment, encodedLoadAssignment } from "./endpoints.ts";
import type { ClusterTarget } from "./service-index.ts";

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const text = fc.oneof(fc.string({ unit: "binary", maxLength: 20 }), fc.constantFrom("", "eu", "eu-west-1", "zürich"));
const address = fc.oneof(
  fc.constantFrom("10.0.0.1", "10.0.0.2", "2001:db8::1", "unix:///run/app.sock", "unix://", "unix:///zürich"),
  fc.ipV4(),
  fc.ipV6(),
  fc.domain(),
  fc.string({ unit: "binary", minLength: 1, maxLength: 150 }),
);
const port = fc.oneof(fc.constantFrom(0, 1, 80, 127, 128, 65_535), fc.integer({ min: 0, max: 65_535 }));
const weight = fc.oneof(
  fc.constantFrom(1, 100, 127, 128, 1_000_000, 2_147_483_648, 4_294_967_295),
  fc.integer({ min: 1, max: 4_294_967_295 }),
);
const place = fc.record({ region: text, zone: text, subZone: text });
const labels = fc
  .dictionary(
    fc.constantFrom("version", "tokenmesh.io/draining", "tokenmesh.io/priority"),
    fc.constantFrom("v1", "v2", "true", "1", "7"),
  )
  .map((entries) => new Map(Object.entries(entries)));
const health = fc.constantFrom<EndpointHealth>("healthy", "unhealthy", "draining", "degraded", "unknown");
const endpoint: fc.Arbitrary<Endpoint> = fc
  .record({ address, port: optional(port), labels, weight, locality: optional(place), health: optional(health) })
  .map(({ port: own, health: known, ...rest }) => ({
    ...rest,
    ports: new Map(own === undefined ? [] : [["http", own]]),
    ...(known === undefined ? {} : { health: known }),
  }));

const target: fc.Arbitrary<ClusterTarget> = fc
  .record({
    host: fc.oneof(fc.domain(), fc.string({ unit: "binary", maxLength: 60 })),
    endpoints: fc.array(endpoint, { maxLength: 20 }),
    targetPort: optional(port),
    subset: optional(fc.constantFrom("v1", "v2")),
    llm: optional(fc.record({ cluster: text, target: text })),
  })
  .map(({ host, endpoints, targetPort, subset, llm }) => {
    const servicePort = { number: 80, name: "http", protocol: "HTTP" as const, targetPort };
    const metadata = { name: "app", namespace: "default", annotations: undefined };
    const entry = { metadata, hosts: [host], ports: [servicePort], resolution: "STATIC" as const, endpoints };
    return {
      service: { host, entry, rule: undefined },
      port: servicePort,
      subset: subset && { name: subset, labels: new Map([["version", subset]]), trafficPolicy: undefined },
      ...(llm === undefined ? {} : { llm }),
    };
  });

/** Some endpoints have a weight that was set: 0 is to drain. */
const weights: fc.Arbitrary<EndpointWeights> = fc
  .array(optional(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_000_000 }))), { minLength: 1, maxLength: 5 })
  .map((list) => ({
    weightOf: (_cluster, address, port) => list[(address.length + port) % list.length],
    stampOf: () => undefined,
  }));

describe("encodedLoadAssignment", () => {
  it("gives the bytes of the object", () => {
    fc.assert(
      fc.property(target, optional(weights), (each, set) => {
        const expected = encodeAny(TypeUrl.endpoints, clusterLoadAssignment(each, set));
        expect(Buffer.compare(encodedLoadAssignment(each, set), expected)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it("has those as draining that are labelled so, whatever their health", () => {
    const endpoint = {
      address: "10.0.0.1",
      ports: new Map(),
      weight: 1,
      locality: undefined,
      health: "healthy" as const,
    };
    const labels = [new Map([["tokenmesh.io/draining", "true"]]), new Map([["tokenmesh.io/draining", "false"]])];
    const port = { number: 80, name: "http", protocol: "HTTP" as const, targetPort: undefined };
    const metadata = { name: "app", namespace: "default", annotations: undefined };
    const endpoints = labels.map((each) => ({ ...endpoint, labels: each }));
    const entry = { metadata, hosts: ["app.test"], ports: [port], resolution: "STATIC" as const, endpoints };
    const bytes = encodedLoadAssignment({
      service: { host: "app.test", entry, rule: undefined },
      port,
      subset: undefined,
    });
    expect(toJson("google.protobuf.Any", bytes)).toMatchObject({
      endpoints: [{ lb_endpoints: [{ health_status: "DRAINING" }, { health_status: "HEALTHY" }] }],
    });
  });
});
