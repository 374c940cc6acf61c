import { expect, it } from "vitest";
import { SharedValues } from "./shared-values.ts";

it("a value that is used is the same for all who ask under its key", () => {
  const values = new SharedValues<string, readonly number[]>();
  const one = values.get("a", () => [1]);
  expect(values.get("a", () => [1])).toBe(one);
  expect(values.get("b", () => [1])).not.toBe(one);
});
