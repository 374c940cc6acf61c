import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toPattern, tree } from "../../../test/lib/pattern-arbitrary.ts";
import { accepted, refused } from "../../../test/lib/pattern-cases.ts";
import { compile } from "../../../test/lib/pattern-driver.ts";
import { patternFault } from "./pattern.ts";

/** The check of the configuration and the filter's compiler take the same patterns, and refuse the others with the same words. */

function same(pattern: string): void {
  expect([pattern, patternFault(pattern)]).toEqual([pattern, compile(pattern)]);
}

describe("patternFault", () => {
  it.each(accepted.map(([pattern]) => pattern))("takes %j", (pattern) => {
    expect(patternFault(pattern)).toBeUndefined();
    same(pattern);
  });

  it.each(refused)("refuses %j", (pattern, words, at) => {
    expect(patternFault(pattern)).toContain(words);
    expect(patternFault(pattern)).toContain(` at byte ${at}: `);
    same(pattern);
  });

  it("refuses half a surrogate pair", () => {
    expect(patternFault("a\ud800")).toContain("is not UTF-8");
  });

  it("agrees on generated patterns, whole and damaged", () => {
    fc.assert(
      fc.property(tree, fc.nat(7), fc.nat(60), fc.nat(3), (node, style, at, length) => {
        const pattern = toPattern(node, style).toWellFormed();
        same(pattern);
        same((pattern.slice(0, at) + pattern.slice(at + length)).toWellFormed());
      }),
      { numRuns: 3000 },
    );
  });

  it("agrees on pieces of syntax in any order", () => {
    const pieces =
      "a b é 😀 . ^ $ | ( ( ) ) (?: (?i) (?i: (?m-s: (?-s) (?= (?< (? i - : * + ? ?? *? +? { } {2} {2,} {2,3} {3,2} {257} {0} , 1 [ [^ ] ] - [: \\ \\d \\W \\b \\z \\n \\x \\x41 \\x{ e9 \\u \\p \\1 \\. \\\\".split(
        " ",
      );
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => same(parts.join(""))),
      { numRuns: 20_000 },
    );
  });

  it("agrees on how many instructions nested repetitions take", () => {
    const sized: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom("a", "[a-z]", "\\b", "", "(?i)", "é", "a|b"),
        fc
          .tuple(
            tie("node"),
            fc.nat(20),
            fc.nat(20),
            fc.constantFrom("{n}", "{n,}", "{n,m}", "*", "+", "?", "{0}", "*?"),
          )
          .map(([node, n, more, form]) => `(?:${node})${form.replace("n", `${n}`).replace("m", `${n + more}`)}`),
        fc.tuple(tie("node"), tie("node")).map(([left, right]) => left + right),
        fc.tuple(tie("node"), tie("node")).map(([left, right]) => `(${left}|${right})`),
      ),
    })).node;
    const found = { taken: 0, refused: 0 };
    fc.assert(
      fc.property(sized, fc.nat(256), fc.nat(256), (pattern, n, m) => {
        for (const whole of [
          pattern,
          `(?:${pattern}){${Math.min(n, m)},${Math.max(n, m)}}`,
          `(?:${pattern}){${n % 9},}a{${m}}`,
        ]) {
          same(whole);
          if (patternFault(whole) === undefined) found.taken++;
          else found.refused++;
        }
      }),
      { numRuns: 5000 },
    );
    expect(Math.min(found.taken, found.refused)).toBeGreaterThan(500);
  });

  it("agrees at the bound itself", () => {
    for (const [least, most] of [
      [4, 4],
      [3, 4],
      [0, 4],
      [4, ""],
    ]) {
      const limits = Array.from({ length: 50 }, (_, i) => i + 205);
      for (const count of limits) same(`(?:a{${count}}|b){${least},${most}}c|d`);
    }
  });
});
