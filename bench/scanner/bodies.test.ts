import { describe, expect, it } from "vitest";
import { bodyKinds, model } from "./bodies.ts";

describe.each(bodyKinds)("bodies of $name", ({ name, make }) => {
  it.each([1_024, 16_384, 131_072])("are chats of about %i bytes, the same ones every time", (bytes) => {
    const body = make(bytes);
    expect(make(bytes)).toBe(body);
    // The last piece of text may stand over.
    expect(Math.abs(Buffer.byteLength(body) - bytes)).toBeLessThan(Math.max(bytes * 0.02, 160));
    const parsed = JSON.parse(body) as { model: string; messages: { role: string; content: unknown }[] };
    expect(parsed.model).toBe(model);
    expect(parsed.messages.length).toBeGreaterThan(0);
    expect(body.indexOf('"messages"')).toBeLessThan(body.lastIndexOf('"model"'));
  });

  it("are of their kind", () => {
    const body = make(16_384);
    const beyond = [...body].filter((character) => character > "\x7f").length / body.length;
    const escapes = [...body.matchAll(/\\/g)].length / body.length;
    if (name === "cjk") expect(beyond).toBeGreaterThan(0.7);
    if (name === "code") expect(escapes).toBeGreaterThan(0.04);
    if (name === "image") expect(beyond + escapes).toBe(0);
    if (name === "prose") expect(Math.min(beyond, escapes)).toBeGreaterThan(0);
  });
});
