import { describe, expect, it } from "vitest";
import { regexProblem } from "./regex.ts";

/** Verdicts of Envoy 1.40 (`/stats?filter=` of its admin interface takes an RE2 pattern). */

describe("regexProblem", () => {
  it.each([
    ...["^/v[0-9]+/.*$", "(?i)a", "(?i-s:a)", "(?P<n>a)", "(?<n>a)", "\\z\\A\\b", "[[:alpha:]]", "\\pL\\p{Greek}"],
    ...["a{1000}", "a{,5}", "{", "\\x41\\x{41}", "\\\\1", "\\(?=x", "[(?=]", "[]a]", "é", "\\-\\/", "\\a\\f\\v", "()|"],
  ])("takes %s", (pattern) => {
    expect(regexProblem(pattern)).toBeUndefined();
  });

  it.each([
    ["(?=a)", "look-ahead"],
    ["a(?<!b)", "look-behind"],
    ["(a)\\1", "back-references"],
    ["\\\\\\1", "back-references"],
    ["(?<n>a)\\k<n>", "back-references"],
    ["[\\1]", "back-references"],
    ["\\Z", "escape \\Z"],
    ["\\u0041", "escape \\u"],
    ["a\\h+", "escape \\h"],
    ["\\e", "escape \\e"],
    ["a{1001}", "1000 times"],
    ["a{0,1001}", "1000 times"],
    ["a{2,1}", "out of order"],
    ["a(", "Unterminated"],
    ["a**", "repeat"],
    ["a\\", "\\ at end"],
    ["(?>a)", "Invalid group"],
  ])("refuses %s: %s", (pattern, problem) => {
    expect(regexProblem(pattern)).toContain(problem);
  });
});
