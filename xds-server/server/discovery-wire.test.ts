import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encode, type ProtoObject } from "../../protos/index.ts";
import { sameDynamicParameters } from "../cache/index.ts";
import { CallError, Status } from "../grpc/index.ts";
import { MAX_RESOURCE_NAMES } from "../stream/index.ts";
import { decodeDelta, NameLists, SotwDecoder } from "./discovery-wire.ts";
import { MAX_CLIENT_FEATURES, MAX_DYNAMIC_PARAMETER_BYTES, MAX_METADATA_BYTES, MAX_METADATA_DEPTH } from "./limits.ts";

/** Against protobufjs with the definitions of Envoy. */
const SOTW = "envoy.service.discovery.v3.DiscoveryRequest";
const DELTA = "envoy.service.discovery.v3.DeltaDiscoveryRequest";

const sotw = (request: ProtoObject) => new SotwDecoder().decode(encode(SOTW, request));
const delta = (request: ProtoObject) => decodeDelta(encode(DELTA, request));

function statusOf(work: () => unknown): Status | "error" | undefined {
  try {
    work();
  } catch (error) {
    return error instanceof CallError ? error.status : "error";
  }
  return undefined;
}

const text = fc.string({ maxLength: 12, unit: "grapheme" });
const names = fc.array(text, { maxLength: 6 });
const error = fc.option(fc.record({ code: fc.integer({ min: 0, max: 16 }), message: text }), { nil: undefined });

describe("requests", () => {
  it("property: state of the world", () => {
    const request = fc.record({ typeUrl: text, version: text, names, nonce: text, error });
    fc.assert(
      fc.property(request, ({ typeUrl, version, names, nonce, error }) => {
        const read = sotw({
          ...{ type_url: typeUrl, version_info: version, resource_names: names, response_nonce: nonce },
          ...(error === undefined ? {} : { error_detail: error }),
        });
        const { errorDetail, ...rest } = read.request;
        expect(rest).toEqual({ typeUrl, versionInfo: version, resourceNames: names, responseNonce: nonce });
        expect(errorDetail).toEqual(error);
        expect(read.node).toBeUndefined();
      }),
    );
  });

  it("property: incremental", () => {
    const versions = fc.dictionary(text, text, { maxKeys: 5 });
    const request = fc.record({ typeUrl: text, add: names, drop: names, versions, nonce: text, error });
    fc.assert(
      fc.property(request, ({ typeUrl, add, drop, versions, nonce, error }) => {
        const read = delta({
          ...{ type_url: typeUrl, resource_names_subscribe: add, resource_names_unsubscribe: drop },
          ...{ initial_resource_versions: versions, response_nonce: nonce },
          ...(error === undefined ? {} : { error_detail: error }),
        });
        const { errorDetail, initialVersions, ...rest } = read.request;
        expect(rest).toEqual({ typeUrl, subscribe: add, unsubscribe: drop, responseNonce: nonce });
        expect([...initialVersions].sort()).toEqual(Object.entries(versions).sort());
        expect(errorDetail).toEqual(error);
      }),
    );
  });

  it("equal names are the same list, for each type", () => {
    const decoder = new SotwDecoder();
    const read = (type_url: string, ...resource_names: string[]) =>
      decoder.decode(encode(SOTW, { type_url, resource_names, response_nonce: `${Math.random()}` })).request
        .resourceNames;
    const first = read("t", "a", "b");
    expect(read("t", "a", "b")).toBe(first);
    expect(read("u", "a", "c")).toEqual(["a", "c"]);
    expect(read("t", "a", "b")).toBe(first);
    expect(read("t", "b", "a")).toEqual(["b", "a"]);
    expect(read("t", "ab")).toEqual(["ab"]);
    expect(read("t")).toEqual([]);
  });

  it("equal names are the same list on all streams of a server", () => {
    const lists = new NameLists();
    const read = (...resource_names: string[]) =>
      new SotwDecoder(lists).decode(encode(SOTW, { type_url: "t", resource_names })).request.resourceNames;
    expect(read("a", "b")).toBe(read("a", "b"));
    expect(read("a", "b")).not.toBe(read("b", "a"));
  });

  it("property: what was asked for before on the stream changes nothing in what is read", () => {
    const entry = fc.constantFrom("a", "b", "ab", "c");
    const request = fc.record({
      type: fc.constantFrom("t", "u"),
      names: fc.array(entry, { maxLength: 4 }),
      torn: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), (requests) => {
        const decoder = new SotwDecoder();
        for (const { type, names, torn } of requests) {
          const [head, tail] = torn ? [names.slice(0, 2), names.slice(2)] : [names, []];
          // Names again behind the type, as a message may be put together.
          const bytes = Buffer.concat([
            encode(SOTW, { resource_names: head, type_url: type }),
            encode(SOTW, { resource_names: tail }),
          ]);
          expect(decoder.decode(bytes).request.resourceNames).toEqual(names);
        }
      }),
    );
  });

  it("names that do not stand together are read too", () => {
    const parts = [{ resource_names: ["a"] }, { type_url: "t" }, { resource_names: ["b"] }];
    const bytes = Buffer.concat(parts.map((part) => encode(SOTW, part)));
    expect(new SotwDecoder().decode(bytes).request).toMatchObject({ typeUrl: "t", resourceNames: ["a", "b"] });
  });

  it("too many names are refused by number, before anything is done with them", () => {
    const many = Array.from({ length: MAX_RESOURCE_NAMES + 1 }, () => "x");
    const distinct = Object.fromEntries(many.map((_, index) => [`${index}`, ""]));
    expect(statusOf(() => sotw({ resource_names: many }))).toBe(Status.resourceExhausted);
    expect(statusOf(() => delta({ resource_names_subscribe: many }))).toBe(Status.resourceExhausted);
    expect(statusOf(() => delta({ resource_names_unsubscribe: many }))).toBe(Status.resourceExhausted);
    expect(statusOf(() => delta({ initial_resource_versions: distinct }))).toBe(Status.resourceExhausted);
    expect(statusOf(() => sotw({ resource_names: many.slice(1) }))).toBeUndefined();
  });

  it("property: bytes that are no request are errors, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const decode of [decodeDelta, (each: Uint8Array) => new SotwDecoder().decode(each)]) {
          try {
            decode(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
          }
        }
      }),
    );
  });

  it("groups, which nest without end, are refused at once", () => {
    const nested = Buffer.alloc(1_000_000, 0x0b);
    expect(statusOf(() => new SotwDecoder().decode(nested))).toBe("error");
    expect(statusOf(() => decodeDelta(nested))).toBe("error");
  });
});

describe("node", () => {
  const metadataOf = (fields: ProtoObject): ProtoObject => ({ fields });
  const nested = (depth: number): ProtoObject =>
    depth === 0 ? { stringValue: "x" } : { structValue: metadataOf({ a: nested(depth - 1) }) };

  it("says who and where it is; what else it says is passed over", () => {
    const { node } = sotw({
      node: {
        ...{ id: "n", cluster: "c", user_agent_name: "envoy", locality: { region: "r", zone: "z", sub_zone: "s" } },
        extensions: [{ name: "x", category: "y" }],
        client_features: ["f", "g"],
        metadata: metadataOf({
          text: { stringValue: "v" },
          number: { numberValue: 1.5 },
          yes: { boolValue: true },
          none: { nullValue: "NULL_VALUE" },
          list: { listValue: { values: [{ numberValue: 1 }, nested(1)] } },
          __proto__x: { stringValue: "y" },
        }),
      },
    });
    expect(node).toEqual({
      ...{ id: "n", cluster: "c", locality: { region: "r", zone: "z", subZone: "s" }, clientFeatures: ["f", "g"] },
      dynamicParameters: {},
      metadata: { text: "v", number: 1.5, yes: true, none: null, list: [1, { a: "x" }], __proto__x: "y" },
    });
  });

  it("property: says dynamic parameters by type, which come back as they were said", () => {
    const params = fc.dictionary(text, fc.dictionary(text, text, { maxKeys: 5 }), { maxKeys: 5 });
    fc.assert(
      fc.property(params, (parameters) => {
        const dynamic_parameters = Object.fromEntries(
          Object.entries(parameters).map(([typeUrl, params]) => [typeUrl, { params }]),
        );
        for (const { node } of [sotw({ node: { dynamic_parameters } }), delta({ node: { dynamic_parameters } })]) {
          expect(node?.dynamicParameters).toEqual(parameters);
          expect(sameDynamicParameters(node?.dynamicParameters ?? {}, parameters)).toBe(true);
          expect(sameDynamicParameters(parameters, { ...parameters, more: {} })).toBe(
            Object.hasOwn(parameters, "more"),
          );
        }
      }),
    );
  });

  /** By hand: `field` of the node, an entry of a map with a text and a message. */
  const wrapped = (tag: number, ...parts: readonly Uint8Array[]) => {
    const bytes = Buffer.concat(parts);
    return Buffer.concat([
      Buffer.from([tag, (bytes.length & 127) | 128, ((bytes.length >> 7) & 127) | 128, bytes.length >> 14]),
      bytes,
    ]);
  };

  it("what it says twice of a type counts as it says it last; names of ours are names of its", () => {
    const entry = (tag: number, key: string, value: Uint8Array) =>
      wrapped(tag, wrapped(0x0a, Buffer.from(key)), wrapped(0x12, value));
    const ofType = (typeUrl: string, key: string, value: string) =>
      entry(0x62, typeUrl, entry(0x0a, key, Buffer.from(value)));
    const bytes = wrapped(0x0a, ofType("t", "a", "1"), ofType("__proto__", "__proto__", "evil"), ofType("t", "b", "2"));
    const { dynamicParameters = {} } = decodeDelta(bytes).node ?? {};
    expect(Object.entries(dynamicParameters).map(([typeUrl, params]) => [typeUrl, Object.entries(params)])).toEqual([
      ["t", [["b", "2"]]],
      ["__proto__", [["__proto__", "evil"]]],
    ]);
    expect(({} as { evil?: unknown }).evil).toBeUndefined();
  });

  it("property: hostile dynamic parameters are read within their bounds, or refused", () => {
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => wrapped(0x0a, bytes)),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => wrapped(0x12, wrapped(0x0a, wrapped(0x0a, bytes)))),
    );
    const entries = fc.array(fc.array(part, { maxLength: 4 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(entries, fc.integer({ min: 1, max: 60_000 }), (entries, bytes) => {
        const once = Buffer.concat(entries.map((parts, index) => wrapped(0x62, ...parts, Buffer.from([0x18, index]))));
        const times = 1 + Math.floor(bytes / once.length);
        const node = Buffer.concat(Array.from({ length: times }, () => once));
        let read: object;
        try {
          read = decodeDelta(wrapped(0x0a, node)).node?.dynamicParameters ?? {};
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          return;
        }
        // Without tag and length of each.
        const held = times * (once.length - 4 * entries.length);
        expect(held).toBeLessThanOrEqual(MAX_DYNAMIC_PARAMETER_BYTES);
        const texts = Object.entries(read).flatMap(([typeUrl, params]) => [typeUrl, ...Object.entries(params).flat()]);
        expect(texts.join("").length).toBeLessThanOrEqual(MAX_DYNAMIC_PARAMETER_BYTES);
      }),
    );
  });

  it("its metadata cannot reach what it does not own", () => {
    // By hand: {metadata {fields {key "__proto__" value {struct {fields {key "evil" value {bool true}}}}}}}.
    const wrap = (tag: number, ...parts: Buffer[]) => {
      const bytes = Buffer.concat(parts);
      return Buffer.concat([Buffer.from([tag, bytes.length]), bytes]);
    };
    const entry = (key: string, value: Buffer) => wrap(0x0a, wrap(0x0a, Buffer.from(key)), wrap(0x12, value));
    const evil = wrap(0x2a, entry("evil", Buffer.from([0x20, 1])));
    const bytes = wrap(0x0a, wrap(0x0a, Buffer.from("n")), wrap(0x1a, entry("__proto__", evil)));
    const { node } = decodeDelta(bytes);
    expect(Object.keys(node?.metadata ?? {})).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(node?.metadata)).toBe(null);
    expect(({} as { evil?: unknown }).evil).toBeUndefined();
  });

  it.each([
    ["an id that is too long", { id: "x".repeat(513) }],
    [
      "metadata that is too large",
      { id: "n", metadata: metadataOf({ a: { stringValue: "x".repeat(MAX_METADATA_BYTES) } }) },
    ],
    ["metadata that is too deep", { id: "n", metadata: metadataOf({ a: nested(MAX_METADATA_DEPTH) }) }],
    [
      "dynamic parameters of one type that are too large",
      { id: "n", dynamic_parameters: { t: { params: { a: "x".repeat(MAX_DYNAMIC_PARAMETER_BYTES) } } } },
    ],
    [
      "dynamic parameters of too many types",
      {
        id: "n",
        dynamic_parameters: Object.fromEntries(
          Array.from({ length: MAX_DYNAMIC_PARAMETER_BYTES / 8 }, (_, index) => [`${100_000 + index}`, { params: {} }]),
        ),
      },
    ],
    ["too many features", { id: "n", client_features: Array.from({ length: MAX_CLIENT_FEATURES + 1 }, () => "f") }],
  ] as const)("refuses %s", (_what, node) => {
    expect(statusOf(() => sotw({ node: node as unknown as ProtoObject }))).toBe(Status.invalidArgument);
    expect(statusOf(() => delta({ node: node as unknown as ProtoObject }))).toBe(Status.invalidArgument);
  });

  it("takes metadata at the limit of depth", () => {
    expect(
      statusOf(() => sotw({ node: { id: "n", metadata: metadataOf({ a: nested(MAX_METADATA_DEPTH - 1) }) } })),
    ).toBe(undefined);
  });
});
