import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineSplitter } from "./line-splitter.ts";

describe("LineSplitter", () => {
  it("gives the same lines wherever the bytes are cut", () => {
    const line = fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => text.replaceAll("\n", ""));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(6), { minLength: 1 }), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(""));
        const splitter = new LineSplitter(1_000, "test");
        const found: string[] = [];
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const size = 1 + (cuts[cut % cuts.length] ?? 0);
          found.push(...splitter.push(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(found).toEqual(lines.filter((each) => each !== ""));
        expect(splitter.empty).toBe(true);
      }),
    );
  });

  it("keeps what has not ended, and says so", () => {
    const splitter = new LineSplitter(10, "test");
    expect([...splitter.push(Buffer.from("ab"))]).toEqual([]);
    expect(splitter.empty).toBe(false);
    expect([...splitter.push(Buffer.from("c\nd"))]).toEqual(["abc"]);
  });

  it("refuses a line beyond its bound, however it comes, and takes one of just that length", () => {
    const splitter = new LineSplitter(4, "/pods");
    expect([...splitter.push(Buffer.from("abcd\n"))]).toEqual(["abcd"]);
    expect([...splitter.push(Buffer.from("abcd"))]).toEqual([]);
    expect(() => [...splitter.push(Buffer.from("e"))]).toThrow("an event of /pods has more than 4 bytes");
    expect(() => [...new LineSplitter(4, "x").push(Buffer.from("abcde\n"))]).toThrow(/more than 4 bytes/);
  });
});
