import { readFileSync } from "node:fs";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { messageType } from "../../protos/root.ts";

/** Differential tests against protobufjs, which encodes what is searched; wrong bytes against a parser written for the test. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  allocate(size: number): number;
  find(at: number, length: number): number;
  ptr(): number;
  length(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-host-metadata.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

/** `base.proto` comes in with the endpoints. The fields of Struct and Value are camel case, because those are built into protobufjs. */
const Metadata = messageType("envoy.config.endpoint.v3.ClusterLoadAssignment").root.lookupType(
  "envoy.config.core.v3.Metadata",
);

/** The name that is found in `bytes`, or undefined. */
function find(bytes: Uint8Array): string | undefined {
  const at = wasm.allocate(bytes.length);
  // What follows looks like more of the message.
  new Uint8Array(wasm.memory.buffer, at, bytes.length + 16).fill(0x0a).set(bytes);
  if (wasm.find(at, bytes.length) === 0) return undefined;
  const [ptr, length] = [wasm.ptr(), wasm.length()];
  expect(ptr).toBeGreaterThanOrEqual(at);
  expect(ptr + length).toBeLessThanOrEqual(at + bytes.length);
  return Buffer.from(new Uint8Array(wasm.memory.buffer, ptr, length)).toString();
}

type Value = Record<string, unknown>;

const text = (name: string): Value => ({ stringValue: name });
const struct = (fields: Record<string, Value>): Value => ({ fields });

function encode(message: object): Buffer {
  return Buffer.from(Metadata.encode(Metadata.fromObject(message)).finish());
}

/** A field with its tag; `payload` is raw for every wire type but 2. */
function field(number: number, wireType: number, payload: Uint8Array | number[] | string): Buffer {
  const writer = protobuf.Writer.create().uint32(((number << 3) | wireType) >>> 0);
  const bytes = Buffer.from(payload as Uint8Array);
  const head = Buffer.from((wireType === 2 ? writer.uint32(bytes.length) : writer).finish());
  return Buffer.concat([head, bytes]);
}

const message = (number: number, ...fields: Uint8Array[]) => field(number, 2, Buffer.concat(fields));
const target = (...values: Uint8Array[]) =>
  message(1, field(1, 2, "target"), ...values.map((value) => message(2, value)));
const filter = (name: string, ...fields: Uint8Array[]) => message(1, field(1, 2, name), message(2, ...fields));
const named = (name: string) => field(3, 2, name);

describe("metadata", () => {
  it("is found in what Envoy is configured with", () => {
    expect(find(encode({ filter_metadata: { tokenmesh: struct({ target: text("azure-eu") }) } }))).toBe("azure-eu");
  });

  it("is found in golden bytes", () => {
    // 0a 1c: field 1, an entry of 28 bytes. 0a 09: its key. 12 0f: its value, a Struct of 15 bytes.
    // 0a 0d: one of its fields, an entry of 13 bytes: 0a 06 key "target", 12 03 Value: 1a 01 string "a".
    const hex = `0a1c0a09${Buffer.from("tokenmesh").toString("hex")}120f0a0d0a06${Buffer.from("target").toString("hex")}12031a0161`;
    expect(find(Buffer.from(hex, "hex"))).toBe("a");
  });

  it.each<[string, Buffer, string | undefined]>([
    ["nothing", Buffer.alloc(0), undefined],
    ["another filter", encode({ filter_metadata: { "envoy.lb": struct({ target: text("a") }) } }), undefined],
    ["another field", encode({ filter_metadata: { tokenmesh: struct({ targets: text("a") }) } }), undefined],
    ["no string", encode({ filter_metadata: { tokenmesh: struct({ target: { numberValue: 1 } }) } }), undefined],
    ["an empty name", encode({ filter_metadata: { tokenmesh: struct({ target: text("") }) } }), ""],
    ["not in the typed metadata", message(2, field(1, 2, "tokenmesh"), message(2, target(named("a")))), undefined],
    [
      "key behind the value",
      message(1, message(2, message(1, message(2, named("a")), field(1, 2, "target"))), field(1, 2, "tokenmesh")),
      "a",
    ],
    ["entry without a value", message(1, field(1, 2, "tokenmesh")), undefined],
    [
      "last filter wins",
      Buffer.concat([filter("tokenmesh", target(named("a"))), filter("x"), filter("tokenmesh", target(named("b")))]),
      "b",
    ],
    [
      "a last filter without it wins, too",
      Buffer.concat([filter("tokenmesh", target(named("a"))), filter("tokenmesh")]),
      undefined,
    ],
    ["last field wins", filter("tokenmesh", target(named("a")), target(named("b"))), "b"],
    ["a last field without a string wins, too", filter("tokenmesh", target(named("a")), target()), undefined],
    [
      "last key wins",
      message(1, field(1, 2, "tokenmesh"), field(1, 2, "x"), message(2, target(named("a")))),
      undefined,
    ],
    ["last string wins", filter("tokenmesh", target(Buffer.concat([named("a"), named("b")]))), "b"],
    ["last of the oneof wins", filter("tokenmesh", target(Buffer.concat([named("a"), field(4, 0, [1])]))), undefined],
    ["values in pieces are merged", filter("tokenmesh", target(named("a"), field(9, 0, [1]))), "a"],
    [
      "structs in pieces are merged",
      message(1, field(1, 2, "tokenmesh"), message(2, target(named("a"))), message(2)),
      "a",
    ],
    [
      "a known number of the wrong type is unknown",
      filter("tokenmesh", target(Buffer.concat([named("a"), field(4, 5, [1, 1, 1, 1]), field(3, 0, [7])]))),
      "a",
    ],
    [
      "groups",
      Buffer.concat([
        field(5, 3, []),
        field(6, 3, field(1, 2, "x")),
        field(6, 4, []),
        field(5, 4, []),
        filter("tokenmesh", target(named("a"))),
      ]),
      "a",
    ],
    [
      "a tag beyond 32 bits",
      Buffer.concat([
        Buffer.from([0x8a, 0x80, 0x80, 0x80, 0x80, 0x01]),
        filter("tokenmesh", target(named("a"))).subarray(1),
      ]),
      undefined,
    ],
    [
      "deep groups",
      Buffer.concat([
        ...Array(300).fill(field(5, 3, [])),
        ...Array(300).fill(field(5, 4, [])),
        filter("tokenmesh", target(named("a"))),
      ]),
      "a",
    ],
    [
      "groups without end",
      Buffer.concat([filter("tokenmesh", target(named("a"))), ...Array(300).fill(field(5, 3, []))]),
      undefined,
    ],
    ["an end without a group", Buffer.concat([filter("tokenmesh", target(named("a"))), field(5, 4, [])]), undefined],
    ["field number 0", Buffer.concat([filter("tokenmesh", target(named("a"))), Buffer.from([0x00, 0x01])]), undefined],
    ["wire type 6", Buffer.concat([filter("tokenmesh", target(named("a"))), Buffer.from([0x0e])]), undefined],
    [
      "a varint without end",
      Buffer.concat([filter("tokenmesh", target(named("a"))), Buffer.from([0x08, ...Array(11).fill(0xff), 0])]),
      undefined,
    ],
    [
      "a length beyond the end",
      Buffer.concat([filter("tokenmesh", target(named("a"))), Buffer.from([0x1a, 0x01])]),
      undefined,
    ],
    [
      "a length beyond the address space",
      Buffer.concat([filter("tokenmesh", target(named("a"))), Buffer.from([0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f])]),
      undefined,
    ],
    [
      "a length beyond 64 bits",
      Buffer.concat([filter("tokenmesh", target(named("a"))), Buffer.from([0x1a, ...Array(9).fill(0xff), 0x7f])]),
      undefined,
    ],
    ["a wrong struct", filter("tokenmesh", target(named("a")), Buffer.from([0x0a, 0x7f])), undefined],
    ["a wrong value", filter("tokenmesh", target(Buffer.concat([named("a"), Buffer.from([0x1a, 0x7f])]))), undefined],
    [
      "a wrong entry of a field",
      filter("tokenmesh", target(named("a")), message(1, Buffer.from([0x0a, 0x7f]))),
      undefined,
    ],
  ])("%s", (_what, bytes, expected) => {
    expect(find(bytes)).toBe(expected);
  });

  it("is what protobufjs finds, with unknown fields of every type in between", () => {
    const key = fc.constantFrom("tokenmesh", "target", "targets", "envoy.lb", "");
    const name = fc.oneof(
      fc.constantFrom("a", "b", ""),
      fc.string({ unit: "binary", maxLength: 200 }).map((s) => s.toWellFormed()),
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        name.map((stringValue): Value => ({ stringValue })),
        fc.constantFrom<Value>({ nullValue: 0 }, { numberValue: 1.5 }, { boolValue: true }, {}),
        fc
          .dictionary(key, tie("any") as fc.Arbitrary<Value>, { maxKeys: 3 })
          .map((fields): Value => ({ structValue: { fields } })),
        fc
          .array(tie("any") as fc.Arbitrary<Value>, { maxLength: 3 })
          .map((values): Value => ({ listValue: { values } })),
      ),
    })).any as fc.Arbitrary<Value>;
    const metadata = fc.dictionary(
      key,
      fc.dictionary(key, value, { maxKeys: 4 }).map((fields) => ({ fields })),
      { maxKeys: 4 },
    );
    const unknown = fc.oneof(
      fc
        .tuple(fc.integer({ min: 7, max: 2 ** 29 - 1 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
        .map(([number, n]) => field(number, 0, varint(n))),
      fc
        .integer({ min: 7, max: 99 })
        .chain((number) => fc.uint8Array({ maxLength: 20 }).map((bytes) => field(number, 2, bytes))),
      fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => field(8, 1, bytes)),
      fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => field(8, 5, bytes)),
      fc
        .uint8Array({ maxLength: 9 })
        .map((bytes) => Buffer.concat([field(9, 3, []), field(7, 2, bytes), field(9, 4, [])])),
    );
    let hits = 0;
    fc.assert(
      fc.property(fc.array(metadata, { maxLength: 3 }), fc.array(unknown, { maxLength: 3 }), (all, strangers) => {
        const pieces = all.flatMap((filter_metadata, i) => [
          encode({ filter_metadata }),
          strangers[i] ?? Buffer.alloc(0),
        ]);
        const bytes = Buffer.concat(pieces);
        const decoded = Metadata.toObject(Metadata.decode(bytes)) as {
          filter_metadata?: Record<string, { fields?: Record<string, { stringValue?: string }> }>;
        };
        const expected = decoded.filter_metadata?.tokenmesh?.fields?.target?.stringValue;
        if (expected !== undefined) hits++;
        expect(find(bytes)).toBe(expected);
      }),
      { numRuns: 3000 },
    );
    expect(hits).toBeGreaterThan(100);
  });

  it("never traps and never leaves the bytes", () => {
    const sample = Buffer.concat([
      filter("envoy.lb", target(named("x"))),
      filter("tokenmesh", target(named("a")), target(named("bc"))),
    ]);
    const edit = fc.tuple(
      fc.nat(),
      fc.nat({ max: 3 }),
      fc.constantFrom(0x00, 0x03, 0x04, 0x0a, 0x12, 0x1a, 0x7f, 0x80, 0xff),
    );
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 4 }), (edits) => {
        const bytes = [...sample];
        for (const [at, cut, byte] of edits) bytes.splice(at % (bytes.length + 1), cut, byte);
        find(Buffer.from(bytes));
      }),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void find(bytes)),
      { numRuns: 3000 },
    );
    for (let size = 0; size < sample.length; size++) find(sample.subarray(0, size));
  });
});

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value > 127n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
  return [...bytes, Number(value)];
}
