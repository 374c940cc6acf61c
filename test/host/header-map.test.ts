import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HeaderMap, parsePairs, serializePairs } from "./header-map.ts";

describe("pairs", () => {
  test("golden bytes", () => {
    expect([
      ...serializePairs([
        ["a", "1"],
        ["bc", ""],
      ]),
    ]).toEqual([
      ...[2, 0, 0, 0], // count
      ...[1, 0, 0, 0, 1, 0, 0, 0], // "a", "1"
      ...[2, 0, 0, 0, 0, 0, 0, 0], // "bc", ""
      ...[0x61, 0, 0x31, 0], // a \0 1 \0
      ...[0x62, 0x63, 0, 0], // bc \0 \0
    ]);
  });

  const byteText = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
  test("what is written is read", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(byteText, byteText)), (pairs) => {
        expect(parsePairs(serializePairs(pairs))).toEqual(pairs);
      }),
    );
  });

  test("any bytes are pairs or nothing; a cut or lengthened buffer is nothing", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => Array.isArray(parsePairs(bytes))));
    const good = serializePairs([
      ["name", "value"],
      ["n", "v"],
    ]);
    for (let end = 0; end < good.length; end++) expect(parsePairs(good.subarray(0, end))).toEqual([]);
    expect(parsePairs(Uint8Array.from([...good, 0]))).toEqual([]);
  });

  test("more than 1024 pairs or 1 MiB are nothing", () => {
    const many = (count: number): [string, string][] => Array.from({ length: count }, () => ["n", "v"]);
    expect(parsePairs(serializePairs(many(1024)))).toHaveLength(1024);
    expect(parsePairs(serializePairs(many(1025)))).toEqual([]);
    expect(parsePairs(serializePairs([["n", "v".repeat(1 << 20)]]))).toEqual([]);
  });
});

describe("header map", () => {
  test("names are lower-case, repeated ones are kept apart, slots are joined", () => {
    const map = new HeaderMap([
      ["X-A", "1"],
      ["x-a", "2"],
      ["User-Agent", "a"],
      ["user-agent", "b"],
    ]);
    expect(map.pairs()).toEqual([
      ["x-a", "1"],
      ["x-a", "2"],
      ["user-agent", "a,b"],
    ]);
    expect(map.get("x-A")).toBe("1");
    expect(map.byteSize).toBe(3 + 1 + 3 + 1 + 10 + 3);
    expect(
      new HeaderMap(
        [
          ["user-agent", "a"],
          ["user-agent", "b"],
        ],
        "response",
      ).size,
    ).toBe(2);
    map.replace("X-a", "3");
    expect(map.toObject()).toEqual({ "user-agent": "a,b", "x-a": "3" });
  });
});
