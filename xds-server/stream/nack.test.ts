import { describe, expect, it } from "vitest";
import { namesInMessage } from "./nack.ts";

describe("names in a NACK message", () => {
  it.each([
    [
      "Error adding/updating cluster(s) outbound|80||a.test: bad",
      ["outbound|80||a.test", "outbound|80||b.test"],
      ["outbound|80||a.test"],
    ],
    ["cluster-12: bad", ["cluster-1", "cluster-12"], ["cluster-12"]],
    ["a.test.example: bad", ["a.test", "a.test.example"], ["a.test.example"]],
    ['name: "x" and y', ["x", "y", "z"], ["x", "y"]],
    ["nothing here", ["x"], []],
    ["", [""], []],
  ])("%s", (message, names, found) => {
    expect(namesInMessage(message, names)).toEqual(found);
  });
});
