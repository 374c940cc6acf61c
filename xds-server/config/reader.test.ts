import { describe, expect, it } from "vitest";
import { LineCounter, parseDocument } from "yaml";
import { rootCursor } from "./cursor.ts";
import { Diagnostics } from "./diagnostics.ts";
import { isWritten, object, optional, placed, positionOf, withDefault } from "./reader.ts";
import { boolean } from "./scalars.ts";

/** Where things stand and what is written, after reading. What readers accept is tested with the kinds that are made of them. */

const read = object<{ a: boolean | undefined; b: boolean; c: boolean | undefined }>(
  { a: optional(boolean), b: withDefault(boolean, true), c: optional(boolean) },
  { ignored: ["status"] },
);

function reading(text: string) {
  const lines = new LineCounter();
  const context = { file: "f.yaml", lines, diagnostics: new Diagnostics(), nodes: 0 };
  const value = read(rootCursor(parseDocument(text, { lineCounter: lines }), context));
  if (value === undefined) throw new Error("not read");
  return value;
}

describe("an object that was read", () => {
  const value = reading("a: false\nb:\nstatus: {x: 1}\n");

  it("knows where it stands, and its fields; an absent one stands where the object does", () => {
    const at = (field?: string) => [positionOf(value, field).line, positionOf(value, field).column];
    expect([at(), at("a"), at("b"), at("status"), at("c")]).toEqual([
      [1, 1],
      [1, 4],
      [expect.any(Number), expect.any(Number)],
      [3, 9],
      [1, 1],
    ]);
    expect(positionOf(value, "b").line).toBe(2);
  });

  it("knows which fields have a value in the file: not those that are empty, ignored or absent", () => {
    expect(["a", "b", "c", "status"].map((field) => isWritten(value, field))).toEqual([true, false, false, false]);
  });

  it("that a reader has put together has a place and no fields", () => {
    const own = placed({ a: 1 }, positionOf(value, "a"));
    expect(positionOf(own, "a")).toEqual(positionOf(value, "a"));
    expect(isWritten(own, "a")).toBe(false);
  });
});
