import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, encode, encodeAny, type ProtoObject } from "./codec.ts";
import { type AssignedEndpoint, type AssignedLocality, encodeLoadAssignment, HealthStatus } from "./load-assignment.ts";
import { TypeUrl } from "./type-urls.ts";

/** By way of protobufjs: what the direct way is held against. */
function reference(
  name: string,
  localities: readonly AssignedLocality[],
  metadata: ProtoObject | undefined,
): Uint8Array {
  return encodeAny(TypeUrl.endpoints, {
    cluster_name: name,
    endpoints: localities.map(({ locality, endpoints, weight, priority = 0 }) => ({
      locality: locality && { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
      lb_endpoints: endpoints.map((endpoint) => ({ ...endpointObject(endpoint), metadata })),
      load_balancing_weight: weight === undefined ? undefined : { value: weight },
      priority: priority === 0 ? undefined : priority,
    })),
  });
}

function endpointObject({ address, port, health, weight }: AssignedEndpoint): ProtoObject {
  const names = Object.entries(HealthStatus);
  return {
    endpoint: {
      address: port === undefined ? { pipe: { path: address } } : { socket_address: { address, port_value: port } },
    },
    health_status: names.find(([, number]) => number === health)?.[0],
    load_balancing_weight: weight === undefined ? undefined : { value: weight },
  };
}

const METADATA = "envoy.config.core.v3.Metadata";
const target = (name: string): ProtoObject => ({
  filter_metadata: { tokenmesh: { fields: { target: { stringValue: name } } } },
});

/** Lengths on both sides of those at which something changes: a loop or native code, one or more bytes of length, a larger buffer. */
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme-ascii", maxLength: 200 }),
  fc.constantFrom("", "é", "x".repeat(47), "x".repeat(48), "x".repeat(49), "x".repeat(127), "x".repeat(128)),
  fc.constantFrom("\u007f", "\u0080", "a\u07ffb", "\u0800"),
  fc.constantFrom("日".repeat(16), "日".repeat(43), "😀".repeat(64), "y".repeat(16_383), "y".repeat(16_384)),
);
const edges = [0, 1, 127, 128, 16_383, 16_384, 65_535, 2_097_151, 2_097_152, 268_435_455, 268_435_456, 4_294_967_295];
const number = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: 4_294_967_295 }));
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), text);
const endpoint = fc.record({
  address,
  port: optional(fc.integer({ min: 0, max: 65_535 })),
  health: optional(fc.constantFrom(...Object.values(HealthStatus))),
  weight: optional(number),
});
const locality = fc.record({
  locality: optional(fc.record({ region: text, zone: text, subZone: text })),
  endpoints: fc.array(endpoint, { maxLength: 12 }),
  weight: optional(number),
  priority: optional(fc.integer({ min: 0, max: 127 })),
});

describe("encodeLoadAssignment", () => {
  it("gives the bytes of the general encoder", () => {
    fc.assert(
      fc.property(text, fc.array(locality, { maxLength: 5 }), optional(text), (name, localities, targetName) => {
        const metadata = targetName === undefined ? undefined : target(targetName);
        const expected = reference(name, localities, metadata);
        const bytes = encodeLoadAssignment(name, localities, metadata && encode(METADATA, metadata));
        expect(Buffer.compare(bytes, expected)).toBe(0);
      }),
    );
  });

  it("gives them for an assignment that is larger than its buffer, and for those after it", () => {
    const localities = (count: number): readonly AssignedLocality[] => [
      { endpoints: Array.from({ length: count }, (_, n) => ({ address: `10.1.${n >> 8}.${n & 255}`, port: 80 })) },
    ];
    for (const count of [10, 5_000, 50_000, 10]) {
      const bytes = encodeLoadAssignment("large", localities(count));
      expect(Buffer.compare(bytes, reference("large", localities(count), undefined)), String(count)).toBe(0);
    }
  });

  it("gives them for texts that are larger than its buffer", () => {
    for (const name of ["日".repeat(30_000), "x".repeat(200_000), "é".repeat(140_000), "x"])
      expect(Buffer.compare(encodeLoadAssignment(name, []), reference(name, [], undefined))).toBe(0);
  });

  it("leaves what it gave as it is", () => {
    const one = encodeLoadAssignment("a", [{ endpoints: [{ address: "192.0.2.1", port: 80 }] }]);
    const before = Buffer.from(one);
    encodeLoadAssignment("b", [{ endpoints: [{ address: "192.0.2.2", port: 81, weight: 7 }] }]);
    expect(Buffer.compare(one, before)).toBe(0);
  });

  it("begins anew after one that failed", () => {
    const broken = [
      {
        endpoints: [
          { address: "192.0.2.1", port: 80 },
          { address: undefined as never, port: 80 },
        ],
      },
    ];
    expect(() => encodeLoadAssignment("a", [...broken, { endpoints: [{ address: "x", port: 1 }] }])).toThrow(TypeError);
    expect(Buffer.compare(encodeLoadAssignment("b", []), reference("b", [], undefined))).toBe(0);
  });

  it("makes half a surrogate pair what Envoy can read", () => {
    const bytes = encodeLoadAssignment("a\ud800b", []);
    const any = decode("google.protobuf.Any", bytes);
    const message = decode("envoy.config.endpoint.v3.ClusterLoadAssignment", any.value as Uint8Array);
    expect(message.cluster_name).toBe("a\ufffdb");
  });
});
