import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { OVERLAY_SOURCE_VERSION } from "../../../protos/overlay.ts";
import { findProtoFile } from "../../../protos/source-files.ts";
import { Code, decodeRequest, encodeResponse, MAX_UINT32, type RateLimitResponse } from "./protocol.ts";

/** The npm protos with the two fields they lack, as a second reading of the protocol. */
function reference(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) =>
    protobuf.common.get(target) ? target : (findProtoFile(target) ?? `missing/${target}`);
  root.loadSync("google/protobuf/descriptor.proto", { keepCase: true });
  root.loadSync("envoy/service/ratelimit/v3/rls.proto", { keepCase: true });
  const descriptor = root.lookupType("envoy.extensions.common.ratelimit.v3.RateLimitDescriptor");
  descriptor.add(new protobuf.Field("hits_addend", 3, "google.protobuf.UInt64Value"));
  descriptor.add(new protobuf.Field("is_negative_hits", 4, "bool"));
  const override = root.lookupType("envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.RateLimitOverride");
  override.add(new protobuf.Field("unit_multiplier", 3, "google.protobuf.UInt32Value"));
  return root;
}

const root = reference();
const Request = root.lookupType("envoy.service.ratelimit.v3.RateLimitRequest");
const Response = root.lookupType("envoy.service.ratelimit.v3.RateLimitResponse");

const descriptors = fc.array(
  fc.record({
    entries: fc.array(fc.record({ key: fc.string(), value: fc.string({ unit: "binary" }) })),
    limit: fc.option(fc.record({ requests_per_unit: fc.nat(MAX_UINT32), unit: fc.integer({ min: 0, max: 6 }) })),
    hits: fc.option(fc.maxSafeNat()),
    negative: fc.boolean(),
  }),
);

describe("protocol", () => {
  it("reads what the protos write", () => {
    fc.assert(
      fc.property(fc.string(), descriptors, fc.nat(MAX_UINT32), (domain, list, hits) => {
        const object = {
          domain,
          hits_addend: hits,
          descriptors: list.map((each) => ({
            entries: each.entries,
            ...(each.limit === null ? {} : { limit: each.limit }),
            ...(each.hits === null ? {} : { hits_addend: { value: each.hits } }),
            is_negative_hits: each.negative,
          })),
        };
        expect(decodeRequest(Request.encode(Request.fromObject(object)).finish())).toEqual({
          domain,
          hits,
          descriptors: list.map(({ entries, limit, hits: own, negative }) => ({
            entries,
            limit:
              limit === null
                ? undefined
                : { requestsPerUnit: limit.requests_per_unit, unit: limit.unit, unitMultiplier: 1 },
            hits: own ?? undefined,
            negative,
          })),
        });
      }),
    );
  });

  it("reads texts of every kind, in messages of every size", () => {
    const texts = ["", "a", "käse", "\u007f\u0080", "𝄞", "x".repeat(40), "é".repeat(3_000), "\u0000"];
    for (const value of texts) {
      for (const padding of ["", "p".repeat(5_000)]) {
        const entries = [
          { key: value, value },
          { key: "after", value: padding },
        ];
        const bytes = Request.encode({ domain: value, descriptors: [{ entries }] }).finish();
        // A view into something larger, as bytes from a socket are.
        const around = Buffer.concat([Buffer.from("\u00ffbefore"), bytes, Buffer.from("after")]);
        const view = around.subarray(8, 8 + bytes.length);
        expect(Buffer.compare(view, bytes)).toBe(0);
        expect(decodeRequest(view)).toMatchObject({ domain: value, descriptors: [{ entries }] });
      }
    }
  });

  it("reads numbers of every size, and none that is longer than ten bytes", () => {
    // 18: hits_addend of the request, a uint32; 12 .. 1a .. 08: that of a descriptor, a uint64.
    const hits = (varint: string) => decodeRequest(Buffer.from(`18${varint}`, "hex")).hits;
    expect([hits("00"), hits("7f"), hits("8001"), hits("ffffffff0f")]).toEqual([0, 127, 128, MAX_UINT32]);
    expect([hits("ffffffffffffffffff01"), hits("808080808010")]).toEqual([MAX_UINT32, 0]);
    const wide = (varint: string) => {
      const size = varint.length / 2;
      const bytes = Buffer.from([0x12, size + 3, 0x1a, size + 1, 0x08, ...Buffer.from(varint, "hex")]);
      return decodeRequest(bytes).descriptors[0]?.hits;
    };
    expect([wide("ffffffffffffff0f"), wide("ffffffffffffffffff01")]).toEqual([2 ** 53 - 1, 2 ** 64]);
    for (const varint of ["ffffffffffffffffffff01", "80", "ffff"])
      expect(() => hits(varint), varint).toThrow(RangeError);
  });

  it("skips fields it does not know, and refuses bytes that are cut off or overlap", () => {
    const bytes = Request.encode({ domain: "d", descriptors: [{ entries: [{ key: "k", value: "v" }] }] }).finish();
    const newer = Buffer.concat([bytes, Buffer.from("9a0603616263f8ff0305", "hex")]);
    expect(decodeRequest(newer)).toEqual(decodeRequest(bytes));
    for (let length = 1; length < bytes.length; length++) {
      if (length === 3) continue; // the domain alone is a whole message
      expect(() => decodeRequest(bytes.subarray(0, length)), String(length)).toThrow();
    }
    // A descriptor of 3 bytes with an entry of 5: 12 03 0a 05 ...
    expect(() => decodeRequest(Buffer.from("12030a050a016b12017610", "hex"))).toThrow(RangeError);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        try {
          decodeRequest(noise);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });

  it("writes what the protos read", () => {
    const response: RateLimitResponse = {
      code: Code.overLimit,
      statuses: [
        { code: Code.ok },
        { code: Code.ok, limit: { name: "a", requestsPerUnit: 100, unit: 2 }, remaining: 7, resetMs: 61_250 },
        { code: Code.overLimit, limit: { name: "", requestsPerUnit: 5, unit: 5 }, remaining: 0, resetMs: 0 },
      ],
    };
    expect(Response.toObject(Response.decode(encodeResponse(response)), { longs: Number, enums: String })).toEqual({
      overall_code: "OVER_LIMIT",
      statuses: [
        { code: "OK" },
        {
          code: "OK",
          current_limit: { requests_per_unit: 100, unit: "MINUTE", name: "a" },
          limit_remaining: 7,
          duration_until_reset: { seconds: 61, nanos: 250_000_000 },
        },
        {
          code: "OVER_LIMIT",
          current_limit: { requests_per_unit: 5, unit: "MONTH" },
          duration_until_reset: { seconds: 0, nanos: 0 },
        },
      ],
    });
  });

  it("shows amounts beyond 32 bits as the largest, and exactly as dynamic metadata", () => {
    const bytes = encodeResponse({
      code: Code.ok,
      statuses: [
        { code: Code.ok, limit: { name: "usd", requestsPerUnit: 1e15, unit: 4 }, remaining: 1e15 - 1, resetMs: 5 },
        { code: Code.ok },
      ],
    });
    const object = Response.toObject(Response.decode(bytes), { enums: String }) as Record<string, unknown>;
    expect(object.statuses).toMatchObject([
      { current_limit: { requests_per_unit: MAX_UINT32 }, limit_remaining: MAX_UINT32 },
      {},
    ]);
    const numbers = (...values: number[]) => ({
      listValue: { values: values.map((numberValue) => ({ numberValue })) },
    });
    expect(object.dynamic_metadata).toEqual({
      fields: { limit: numbers(1e15, 0), remaining: numbers(1e15 - 1, 0) },
    });
  });
});

const hasGo = spawnSync("go", ["version"]).status === 0;
if (!hasGo) console.log("skipped: `go` is not installed, so field numbers cannot be compared with the Go module");

describe.skipIf(!hasGo)("field numbers against the Go module", () => {
  const source = (file: string) => {
    const cwd = mkdtempSync(join(tmpdir(), "tokenmesh-rls-"));
    try {
      const name = `github.com/envoyproxy/go-control-plane/envoy@${OVERLAY_SOURCE_VERSION}`;
      const info: unknown = JSON.parse(
        execFileSync("go", ["mod", "download", "-json", name], { cwd, encoding: "utf8", timeout: 60_000 }),
      );
      return readFileSync(join((info as { Dir: string }).Dir, file), "utf8");
    } finally {
      rmSync(cwd, { recursive: true, force: true });
    }
  };

  it("has hits_addend 3, is_negative_hits 4 and unit_multiplier 3", () => {
    const text = source("extensions/common/ratelimit/v3/ratelimit.pb.go");
    expect(text).toMatch(/HitsAddend \*wrapperspb\.UInt64Value `protobuf:"bytes,3,opt,name=hits_addend/);
    expect(text).toMatch(/IsNegativeHits bool `protobuf:"varint,4,opt,name=is_negative_hits/);
    expect(text).toMatch(/UnitMultiplier \*wrapperspb\.UInt32Value `protobuf:"bytes,3,opt,name=unit_multiplier/);
  });
});
