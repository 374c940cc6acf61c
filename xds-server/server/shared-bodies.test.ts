import { describe, expect, it } from "vitest";
import { decode, TypeUrl } from "../../protos/index.ts";
import { createResource, type Resource } from "../cache/index.ts";
import type { PlannedDelta, PlannedResponse } from "../stream/index.ts";
import { encodeNonce } from "./discovery-wire.ts";
import { MAX_SHARED_BODIES, MAX_SHARED_BYTES } from "./limits.ts";
import { SharedBodies } from "./shared-bodies.ts";

const cluster = (name: string, seconds = 1, ttlMs?: number): Resource =>
  createResource(
    TypeUrl.cluster,
    name,
    { name, connect_timeout: { seconds } },
    [],
    [],
    ttlMs === undefined ? {} : { ttlMs },
  );

const sotw = (resources: readonly Resource[], fields: Partial<PlannedResponse> = {}): PlannedResponse => ({
  ...{ typeUrl: TypeUrl.cluster, version: "v", nonce: "1", resources, heartbeats: [], ttl: false },
  ...fields,
});
const delta = (resources: PlannedDelta["resources"], fields: Partial<PlannedDelta> = {}): PlannedDelta => ({
  ...{ typeUrl: TypeUrl.cluster, systemVersion: "v", nonce: "1", resources, removed: [], ttl: false },
  ...fields,
});

describe("shared bodies", () => {
  it("with the nonce of the stream are the response", () => {
    const bodies = new SharedBodies("me");
    const message = (planned: PlannedResponse | PlannedDelta) =>
      Buffer.concat([encodeNonce("n7"), bodies.body(planned)]);
    expect(decode("envoy.service.discovery.v3.DiscoveryResponse", message(sotw([cluster("a")])))).toMatchObject({
      ...{ version_info: "v", type_url: TypeUrl.cluster, nonce: "n7", control_plane: { identifier: "me" } },
      resources: [{ type_url: TypeUrl.cluster }],
    });
    const incremental = delta([cluster("a"), { missing: "m", aliases: ["x"] }], { removed: ["gone"] });
    expect(decode("envoy.service.discovery.v3.DeltaDiscoveryResponse", message(incremental))).toMatchObject({
      ...{ system_version_info: "v", type_url: TypeUrl.cluster, nonce: "n7", control_plane: { identifier: "me" } },
      resources: [
        { name: "a", version: cluster("a").version },
        { name: "m", aliases: ["x"] },
      ],
      removed_resources: ["gone"],
    });
  });

  it("are the same bytes for streams that are sent the same resources", () => {
    const bodies = new SharedBodies("me");
    const [a, b] = [cluster("a"), cluster("b")];
    expect(bodies.body(sotw([a, b]))).toBe(bodies.body(sotw([a, b], { nonce: "2" })));
    const beat = { heartbeat: cluster("t", 1, 100) };
    expect(bodies.body(delta([a, beat]))).toBe(bodies.body(delta([a, { ...beat }], { nonce: "9" })));
  });

  it.each<[string, PlannedResponse | PlannedDelta, PlannedResponse | PlannedDelta]>([
    ["another version", sotw([]), sotw([], { version: "w" })],
    ["another type", sotw([]), sotw([], { typeUrl: TypeUrl.listener })],
    ["the other variant", sotw([]), delta([])],
    ["an equal name", sotw([cluster("a")]), sotw([cluster("a", 2)])],
    ["fewer resources", sotw([cluster("a")]), sotw([])],
    ["a heartbeat", sotw([]), sotw([], { heartbeats: [cluster("t", 1, 100)] })],
    ["TTLs", sotw([]), sotw([], { ttl: true })],
    ["another removal", delta([], { removed: ["a"] }), delta([], { removed: ["b"] })],
    ["another version in delta", delta([]), delta([], { systemVersion: "w" })],
    ["another missing name", delta([{ missing: "a", aliases: [] }]), delta([{ missing: "b", aliases: [] }])],
  ])("are others for %s", (_what, one, other) => {
    const bodies = new SharedBodies("me");
    expect(bodies.body(one)).not.toBe(bodies.body(other));
  });

  it("are kept in a bounded number, the newest per type", () => {
    const bodies = new SharedBodies("me");
    const plans = Array.from({ length: MAX_SHARED_BODIES + 1 }, (_, i) => sotw([cluster(`c${i}`)]));
    const encoded = plans.map((plan) => bodies.body(plan));
    expect(bodies.bytes).toBe(encoded.slice(1).reduce((sum, { length }) => sum + length, 0));
    expect(bodies.body(plans.at(-1) as PlannedResponse)).toBe(encoded.at(-1));
    expect(bodies.body(plans[0] as PlannedResponse)).not.toBe(encoded[0]);
  });

  it("are kept in bounded memory, whatever their size", () => {
    const bodies = new SharedBodies("me");
    const big = (name: string, bytes: number): Resource => ({ ...cluster(name), any: new Uint8Array(bytes) });
    const third = Math.floor(MAX_SHARED_BYTES / 3);
    for (const typeUrl of [TypeUrl.cluster, TypeUrl.listener, TypeUrl.route, TypeUrl.endpoints]) {
      for (const name of ["a", "b"]) bodies.body(sotw([big(name, third)], { typeUrl }));
      expect(bodies.bytes).toBeLessThanOrEqual(MAX_SHARED_BYTES);
    }
    const before = bodies.bytes;
    expect(bodies.body(sotw([big("huge", MAX_SHARED_BYTES)])).length).toBeGreaterThan(MAX_SHARED_BYTES);
    expect(bodies.bytes).toBe(before);
  });
});
