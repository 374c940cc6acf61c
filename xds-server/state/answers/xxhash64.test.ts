import fc from "fast-check";
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { nameHash, xxhash64 } from "./xxhash64.ts";

const { h64Raw } = await xxhash();

describe("xxhash64", () => {
  it("is what another implementation says, for texts of every length", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        expect(xxhash64(text)).toBe(h64Raw(Buffer.from(text)));
      }),
      { numRuns: 500 },
    );
    for (let length = 0; length < 140; length++)
      expect(xxhash64("x".repeat(length))).toBe(h64Raw(Buffer.alloc(length, "x")));
  });

  it("of a name stands with the lowest byte first", () => {
    // The specification's value of the empty text: ef46db3751d8e999.
    expect(nameHash("")).toBe("99e9d85137db46ef");
  });
});
