import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Answer,
  field,
  fieldsOf,
  MAX_STATUSES,
  MAX_UINT32,
  message,
  number,
  reference,
  type Status,
  TEN_THOUSAND_YEARS,
} from "../../test/lib/rate-limit-answer-reference.ts";
import { RateLimitResponse } from "../../test/lib/rate-limit-protos.ts";
import { type DescriptorStatus, encodeResponse } from "../../xds-server/state/ledger/protocol.ts";

/** What the ledger and the npm protos write is read; of wrong bytes, what a strict parser on lists of fields reads. Every answer lies at the very end of memory. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  read(at: number, length: number): number;
  overallCode(): number;
  count(): number;
  code(index: number): number;
  hasLimit(index: number): number;
  requestsPerUnit(index: number): number;
  unit(index: number): number;
  remaining(index: number): number;
  resetMs(index: number): bigint;
  heapTop(): number;
}

const wasm = new WebAssembly.Instance(
  new WebAssembly.Module(readFileSync(new URL("../../build/test-wasm/lib-rate-limit-answer.wasm", import.meta.url))),
  { env: { proxy_log: () => 0 } },
).exports as unknown as Exports;
wasm._initialize();
wasm.memory.grow(16);

/** What is read; undefined when the bytes are no answer. A read behind them traps. */
function read(bytes: Uint8Array): Answer | undefined {
  const at = wasm.memory.buffer.byteLength - bytes.length;
  new Uint8Array(wasm.memory.buffer, at).set(bytes);
  const good = wasm.read(at, bytes.length) !== 0;
  expect(wasm.memory.buffer.byteLength).toBe(at + bytes.length);
  if (!good) expect([wasm.overallCode(), wasm.count()]).toEqual([0, 0]);
  if (!good) return undefined;
  return {
    code: wasm.overallCode(),
    statuses: Array.from({ length: wasm.count() }, (_, i) => ({
      code: wasm.code(i),
      limit: wasm.hasLimit(i) ? { requestsPerUnit: wasm.requestsPerUnit(i) >>> 0, unit: wasm.unit(i) } : undefined,
      remaining: wasm.remaining(i) >>> 0,
      resetMs: Number(wasm.resetMs(i)),
    })),
  };
}

const statuses = fc.array(
  fc.record({
    code: fc.constantFrom<1 | 2>(1, 2),
    limit: fc.option(
      fc.record({ name: fc.string(), requestsPerUnit: fc.oneof(fc.nat(MAX_UINT32), fc.maxSafeNat()), unit: fc.nat(6) }),
      { nil: undefined },
    ),
    remaining: fc.oneof(fc.nat(300), fc.nat(MAX_UINT32), fc.maxSafeNat()),
    resetMs: fc.option(fc.oneof(fc.nat(2000), fc.nat(2 ** 41)), { nil: undefined }),
  }),
  { maxLength: MAX_STATUSES },
);
const code = fc.constantFrom<1 | 2>(1, 2);
const encode = (overall: 1 | 2, list: { limit?: DescriptorStatus["limit"] | undefined }[]) =>
  encodeResponse({ code: overall, statuses: list as DescriptorStatus[] });

const nothing: Status = { code: 0, limit: undefined, remaining: 0, resetMs: -1 };

describe("an answer", () => {
  it("is read from golden bytes", () => {
    const hex = [
      "0802", // overall_code: OVER_LIMIT
      "1216 0802", // a status of 22 bytes: OVER_LIMIT
      "1208 08ac02 1002 1a01 61", // current_limit: 300 per minute, "a"
      "1807", // limit_remaining: 7
      "2206 0803 10c0843d", // duration_until_reset: 3 s and 1,000,000 ns
      "1202 0801", // a status of 2 bytes: OK
    ];
    expect(read(Buffer.from(hex.join("").replaceAll(" ", ""), "hex"))).toEqual({
      code: 2,
      statuses: [
        { code: 2, limit: { requestsPerUnit: 300, unit: 2 }, remaining: 7, resetMs: 3001 },
        { ...nothing, code: 1 },
      ],
    });
  });

  it("is read as the ledger writes it", () => {
    fc.assert(
      fc.property(code, statuses, (overall, list) => {
        expect(read(encode(overall, list))).toEqual({
          code: overall,
          statuses: list.map((status) => ({
            code: status.code,
            limit: status.limit && {
              requestsPerUnit: Math.min(status.limit.requestsPerUnit, MAX_UINT32),
              unit: status.limit.unit,
            },
            remaining: Math.min(status.remaining, MAX_UINT32),
            resetMs: status.resetMs ?? -1,
          })),
        });
      }),
      { numRuns: 1000 },
    );
  });

  it("is read as the npm protos write it, with every field they know", () => {
    const header = fc.record({ key: fc.string(), value: fc.string() });
    const quota = fc.option(fc.record({ requests: fc.nat(), id: fc.string() }));
    const response = fc.record({
      overall_code: fc.nat(2),
      statuses: fc.array(
        fc.record({
          code: fc.nat(2),
          current_limit: fc.option(
            fc.record({ name: fc.string(), requests_per_unit: fc.nat(MAX_UINT32), unit: fc.nat(6) }),
          ),
          limit_remaining: fc.nat(MAX_UINT32),
          duration_until_reset: fc.option(
            fc.record({ seconds: fc.nat(Number(TEN_THOUSAND_YEARS)), nanos: fc.nat(999_999_999) }),
          ),
          quota,
        }),
        { maxLength: MAX_STATUSES },
      ),
      response_headers_to_add: fc.array(header, { maxLength: 3 }),
      request_headers_to_add: fc.array(header, { maxLength: 3 }),
      raw_body: fc.uint8Array({ maxLength: 50 }),
      dynamic_metadata: fc.constant({ fields: { limit: { listValue: { values: [{ numberValue: 1e15 }] } } } }),
      quota,
    });
    fc.assert(
      fc.property(response, (object) => {
        const bytes = RateLimitResponse.encode(RateLimitResponse.fromObject(object)).finish();
        expect(read(bytes)).toEqual({
          code: object.overall_code,
          statuses: object.statuses.map((status) => ({
            code: status.code,
            limit: status.current_limit
              ? { requestsPerUnit: status.current_limit.requests_per_unit, unit: status.current_limit.unit }
              : undefined,
            remaining: status.limit_remaining,
            resetMs: status.duration_until_reset
              ? status.duration_until_reset.seconds * 1000 + Math.ceil(status.duration_until_reset.nanos / 1e6)
              : -1,
          })),
        });
      }),
      { numRuns: 1000 },
    );
  });

  it("leaves nothing behind for the next one", () => {
    const full = message(
      2,
      number(1, 2),
      message(2, number(1, 9), number(2, 4)),
      number(3, 8),
      message(4, number(1, 7)),
    );
    read(Buffer.concat([number(1, 2), full, full]));
    expect(read(Buffer.alloc(0))).toEqual({ code: 0, statuses: [] });
    expect(read(Buffer.concat([message(2), message(2)]))).toEqual({ code: 0, statuses: [nothing, nothing] });
  });

  it("allocates nothing", () => {
    const bytes = encode(
      2,
      Array(MAX_STATUSES).fill({ code: 1, limit: { name: "a", requestsPerUnit: 5, unit: 1 }, resetMs: 5 }),
    );
    const top = wasm.heapTop();
    for (let i = 0; i < 100; i++) read(bytes.subarray(0, bytes.length - (i % 2)));
    expect(wasm.heapTop()).toBe(top);
  });
});

const status = (...fields: Uint8Array[]) => message(2, ...fields);
const reset = (seconds: bigint | number, nanos: bigint | number = 0) =>
  status(message(4, number(1, seconds), number(2, nanos)));
const resetting = (resetMs: number) => [{ ...nothing, resetMs }];
const refused = undefined;

describe("what other parsers make of it", () => {
  it.each<[what: string, bytes: Uint8Array, statuses: Status[] | undefined]>([
    [
      "the last of duplicates",
      status(number(1, 2), number(1, 1), number(3, 5), number(3, 6)),
      [{ ...nothing, code: 1, remaining: 6 }],
    ],
    ["codes of the future", status(number(1, 3)), [nothing]],
    ["a code of 33 bits", status(number(1, 0x1_0000_0001)), [{ ...nothing, code: 1 }]],
    ["a negative code", status(number(1, -1)), [nothing]],
    [
      "a limit in pieces",
      status(message(2, number(1, 5)), message(2, number(2, 3))),
      [{ ...nothing, limit: { requestsPerUnit: 5, unit: 3 } }],
    ],
    ["an empty limit", status(message(2)), [{ ...nothing, limit: { requestsPerUnit: 0, unit: 0 } }]],
    [
      "a unit of the future",
      status(message(2, number(2, 7))),
      [{ ...nothing, limit: { requestsPerUnit: 0, unit: 7 } }],
    ],
    [
      "known numbers of other types",
      status(field(1, 5, [1, 1, 1, 1]), number(2, 1), field(3, 2, [1]), field(4, 1, Array(8).fill(1))),
      [nothing],
    ],
    [
      "tags of two bytes",
      Buffer.concat([
        field(16, 2, [1, 2]),
        status(field(2047, 0, [1]), number(3, 9)),
        field(2 ** 29 - 1, 5, [0, 0, 0, 0]),
      ]),
      [{ ...nothing, remaining: 9 }],
    ],
    [
      "a padded varint",
      status(field(3, 0, [0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00])),
      [{ ...nothing, remaining: 5 }],
    ],
    [
      "a varint of 10 bytes, all ones",
      status(field(3, 0, [...Array(9).fill(0xff), 0x7f])),
      [{ ...nothing, remaining: MAX_UINT32 }],
    ],
    ["a varint of 11 bytes", status(field(3, 0, [...Array(10).fill(0x80), 0x00])), refused],
    ["a tag of 33 bits", Buffer.from([0x90, 0x80, 0x80, 0x80, 0x10, 0x01]), refused],
    ["field number 0", Buffer.from([0x00, 0x01]), refused],
    ["a group", Buffer.concat([field(9, 3), field(9, 4)]), refused],
    ["a group in a status", status(field(9, 3), field(9, 4)), refused],
    ["many groups", Buffer.concat(Array(100_000).fill(field(9, 3))), refused],
    ["the end of a group", field(9, 4), refused],
    ["wire type 6", field(9, 6), refused],
    ["wire type 7 in a limit", status(message(2, field(9, 7))), refused],
    ["a status beyond the answer", Buffer.from([0x12, 0x03, 0x08, 0x01]), refused],
    [
      "a limit beyond its status",
      Buffer.concat([status(Buffer.from([0x12, 0x03, 0x08, 0x01])), number(1, 1)]),
      refused,
    ],
    [
      "a number beyond its limit",
      Buffer.concat([status(Buffer.from([0x12, 0x02, 0x08, 0x80]), Buffer.from([0x01]))]),
      refused,
    ],
    [
      "a duration beyond its status",
      Buffer.concat([status(Buffer.from([0x22, 0x04, 0x08, 0x01])), number(1, 1)]),
      refused,
    ],
    ["a length of 32 bits", Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]), refused],
    ["a length of 2^31", Buffer.from([0x1a, 0x80, 0x80, 0x80, 0x80, 0x08, 0x00]), refused],
    ["a length of 2^32 and what is there", Buffer.from([0x12, 0x82, 0x80, 0x80, 0x80, 0x10, 0x08, 0x01]), refused],
    ["a length of 64 bits", Buffer.from([0x1a, ...Array(9).fill(0xff), 0x01, 0x00]), refused],
    ["32 statuses", Buffer.concat(Array(32).fill(status())), Array(32).fill(nothing)],
    ["33 statuses", Buffer.concat(Array(33).fill(status())), refused],
    ["rounded up", reset(1, 1), resetting(1001)],
    ["rounded up after a long time", reset(TEN_THOUSAND_YEARS - 1n, 1), resetting(315_575_999_999_001)],
    ["a whole millisecond", reset(1, 1_000_000), resetting(1001)],
    ["no duration yet", status(message(4)), resetting(0)],
    ["a duration in pieces", status(message(4, number(1, 2)), message(4, number(2, 5_000_000))), resetting(2005)],
    ["a time that is over", reset(-1, 0), resetting(0)],
    ["a little over", reset(0, -5), resetting(0)],
    ["nanoseconds that go back", reset(2, -500_000_000), resetting(1500)],
    ["the longest duration", reset(TEN_THOUSAND_YEARS), resetting(315_576_000_000_000)],
    ["the largest number", reset(2n ** 63n - 1n), resetting(315_576_000_000_000)],
    ["the smallest number", reset(-(2n ** 63n)), resetting(0)],
  ])("%s", (_what, bytes, expected) => {
    const wanted = expected && { code: 0, statuses: expected };
    expect(reference(bytes)).toEqual(wanted);
    expect(read(bytes)).toEqual(wanted);
  });
});

describe("wrong bytes", () => {
  it("cut off anywhere, are an answer only between two fields", () => {
    fc.assert(
      fc.property(code, statuses, (overall, list) => {
        const bytes = encode(overall, list);
        const borders = new Set([0]);
        let behind = 0;
        for (const [n, type, value] of fieldsOf(bytes)) {
          behind += (type === 0 ? number(n, value as bigint) : field(n, type, value as Uint8Array)).length;
          borders.add(behind);
        }
        for (let length = 0; length <= bytes.length; length++) {
          const answer = read(bytes.subarray(0, length));
          expect(answer !== undefined, `${length} of ${bytes.length} bytes`).toBe(borders.has(length));
        }
      }),
      { numRuns: 20 },
    );
  });

  const sample = Buffer.concat([
    number(1, 2),
    status(
      number(1, 2),
      message(2, number(1, 300), number(2, 2)),
      number(3, 200),
      message(4, number(1, 61), number(2, 5e8)),
    ),
    message(3, field(1, 2, [0x61]), field(2, 2, [0x62])),
    status(number(1, 1), message(4), message(2, number(1, 70_000)), message(5, number(1, 3))),
    message(6, message(1, field(1, 2, [0x6c]))),
  ]);

  it("changed at random, are what the reference makes of them", () => {
    const seen = { read: 0, refused: 0 };
    const compare = (bytes: Uint8Array) => {
      const answer = read(bytes);
      expect(answer).toEqual(reference(bytes));
      seen[answer === undefined ? "refused" : "read"]++;
    };
    const byte = fc.oneof(
      fc.constantFrom(0x00, 0x03, 0x04, 0x08, 0x0a, 0x10, 0x12, 0x18, 0x22, 0x7f, 0x80, 0xff),
      fc.nat(255),
    );
    const edit = fc.tuple(fc.nat(), fc.nat(2), fc.array(byte, { maxLength: 2 }));
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const bytes = [...sample];
        for (const [at, cut, inserted] of edits) bytes.splice(at % (bytes.length + 1), cut, ...inserted);
        compare(Buffer.from(bytes));
      }),
      { numRuns: 5000 },
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), (bytes) => compare(Buffer.from(bytes))),
      { numRuns: 3000 },
    );
    for (let at = 0; at < sample.length; at++) {
      for (let value = 0; value < 256; value++)
        compare(Buffer.from([...sample.subarray(0, at), value, ...sample.subarray(at + 1)]));
    }
    expect(seen.read).toBeGreaterThan(3000);
    expect(seen.refused).toBeGreaterThan(3000);
  });
});
