import { describe, expect, it } from "vitest";
import { tokensOf } from "./text-length.ts";

describe("tokens of a text", () => {
  it.each([
    ["", 0],
    [" \n", 0],
    ["the", 1],
    ["What is it?", 5],
    ["internationalization", 7],
    ["東京", 2],
    ["😀😀", 2],
    ["a-b", 3],
    ["12345", 5],
  ])("%j: %i", (text, expected) => {
    expect(tokensOf(text)).toBe(expected);
  });
});
