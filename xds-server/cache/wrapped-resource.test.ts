import { describe, expect, it } from "vitest";
import { decode, TypeUrl, toJson } from "../../protos/index.ts";
import { createResource } from "./resource.ts";
import { deltaBytes, heartbeatBytes, missingBytes, sotwAny } from "./wrapped-resource.ts";

const RESOURCE = "envoy.service.discovery.v3.Resource";
const object = { cluster_name: "a" };
const plain = createResource(TypeUrl.endpoints, "a", object);
const lasting = createResource(TypeUrl.endpoints, "a", object, [], [], { ttlMs: 2_500, aliases: ["b", "c"] });
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const text = (value: string) => Buffer.from(value).toString("hex");

describe("wrapped resources", () => {
  it("carry version, body and name", () => {
    // 0a 10 version, 12 .. the Any, 1a 01 name.
    const any = `12${plain.any.length.toString(16)}${hex(plain.any)}`;
    expect(hex(deltaBytes(plain))).toBe(`0a10${text(plain.version)}${any}1a01${text("a")}`);
    expect(decode(RESOURCE, deltaBytes(plain))).toMatchObject({ name: "a", version: plain.version });
  });

  it("carry aliases always, and the TTL to clients that know it", () => {
    expect(toJson(RESOURCE, deltaBytes(lasting))).toMatchObject({
      aliases: ["b", "c"],
      ttl: { seconds: 2, nanos: 500_000_000 },
    });
    const without = toJson(RESOURCE, deltaBytes(lasting, false));
    expect(without).toMatchObject({ aliases: ["b", "c"] });
    expect(without).not.toHaveProperty("ttl");
  });

  it("are heartbeats without body, and a name alone when there is nothing of that name", () => {
    expect(toJson(RESOURCE, heartbeatBytes(lasting))).toEqual({
      name: "a",
      version: lasting.version,
      ttl: { seconds: 2, nanos: 500_000_000 },
    });
    expect(toJson(RESOURCE, missingBytes("r/h", ["r/h"]))).toEqual({ name: "r/h", aliases: ["r/h"] });
  });

  it("are inside an Any in a state-of-the-world response, and only when there is a TTL to tell", () => {
    expect(sotwAny(plain, true)).toBe(plain.any);
    expect(sotwAny(lasting, false)).toBe(lasting.any);
    const any = decode("google.protobuf.Any", sotwAny(lasting, true));
    expect(any.type_url).toBe(`type.googleapis.com/${RESOURCE}`);
    expect(hex(any.value as Uint8Array)).toBe(hex(deltaBytes(lasting)));
  });

  it("are made once", () => {
    expect(deltaBytes(lasting)).toBe(deltaBytes(lasting));
    expect(deltaBytes(lasting, false)).toBe(deltaBytes(lasting, false));
    expect(sotwAny(lasting, true)).toBe(sotwAny(lasting, true));
    expect(heartbeatBytes(lasting)).toBe(heartbeatBytes(lasting));
  });
});

describe("versions", () => {
  it("are the hash of the body, and of TTL and aliases where there are any", () => {
    expect(plain.version).toBe(createResource(TypeUrl.endpoints, "other", object).version);
    const versions = [
      {},
      { ttlMs: 1 },
      { ttlMs: 2 },
      { aliases: ["b"] },
      { aliases: ["c"] },
      { aliases: ["b", "c"] },
    ].map((options) => createResource(TypeUrl.endpoints, "a", object, [], [], options).version);
    expect(new Set(versions).size).toBe(versions.length);
    expect(versions[0]).toBe(plain.version);
  });

  it("refuse a TTL that is none", () => {
    for (const ttlMs of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => createResource(TypeUrl.endpoints, "a", object, [], [], { ttlMs })).toThrow(RangeError);
    }
  });

  it("and names of xdstp resources do not depend on the order of the context", () => {
    const name = "xdstp://a/t/x";
    expect(createResource(TypeUrl.endpoints, `${name}?b=1&a=2`, object).name).toBe(`${name}?a=2&b=1`);
  });
});
