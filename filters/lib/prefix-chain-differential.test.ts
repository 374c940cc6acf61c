import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { body, list, object, scalar } from "../../test/lib/chat-request-arbitrary.ts";
import { bodies } from "../../test/lib/chat-request-bodies.ts";
import { type Api, apis } from "../../test/lib/chat-request-driver.ts";
import { ascii, check, prose, same } from "../../test/lib/prefix-chain-check.ts";
import { parse } from "../../test/lib/prefix-chain-reference.ts";

/** The chain of a prompt as it is written, against the chain of the parsed document. */

const json = JSON.stringify;

describe("differential against the parsed document", () => {
  it.each(bodies)("%s", (_name, api, value) => {
    const compact = typeof value === "string" ? value : json(value);
    const whole = check(api, compact, { salt: "tenant", model: "gpt-4o" });
    if (!compact.startsWith("\ufeff")) same(whole, check(api, ascii(compact), { salt: "tenant", model: "gpt-4o" }));
    if (typeof value !== "string") same(whole, check(api, json(value, null, 2), { salt: "tenant", model: "gpt-4o" }));
  });

  it("generated bodies of all APIs", () => {
    fc.assert(
      fc.property(fc.constantFrom(...apis), body, (api, text) => {
        check(api, text);
      }),
      { numRuns: 800 },
    );
  });

  const word = fc.oneof(
    { weight: 6, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
    { weight: 3, arbitrary: fc.string({ minLength: 200, maxLength: 400 }) },
    { weight: 1, arbitrary: fc.nat(4000).map((length) => prose(length)) },
    { weight: 1, arbitrary: fc.nat(4000).map((length) => prose(length, 'a"\n\\é')) },
    { weight: 2, arbitrary: fc.integer({ min: 1000, max: 1060 }).map((length) => "A/".repeat(length / 2)) },
    { weight: 1, arbitrary: fc.constantFrom("\ud83d\ude00".repeat(100), "\ud83d", "\u4e2d".repeat(400), "é\ud800\n") },
  );
  /** JSON of a string with any character escaped or not. */
  const spelled = fc.tuple(word, fc.nat()).map(([text, seed]) => {
    let state = seed;
    const unit = (at: string) => {
      const code = at.charCodeAt(0).toString(16).padStart(4, "0");
      return `\\u${state & (1 << 20) ? code.toUpperCase() : code}`;
    };
    const respell = (character: string) => {
      state = (state * 1103515245 + 12345) >>> 0;
      if (character.startsWith("\\") || state >>> 29 > 1) return character;
      return character === "/" ? "\\/" : character.split("").map(unit).join("");
    };
    return json(text).replace(/\\u[0-9a-f]{4}|\\.|[^"\\]/gu, respell);
  });
  const part = object(
    ["type", fc.constantFrom('"text"', '"input_text"', '"image_url"', "5", "null")],
    ["text", spelled],
    ["text", fc.oneof(spelled, scalar)],
    ["cache_control", scalar],
    ["source", object(["data", spelled], ["data ", list(spelled)])],
    ["content", fc.oneof(spelled, list(object(["text", spelled])), scalar)],
    ["x", scalar],
  );
  const content = fc.oneof(spelled, list(fc.oneof(part, part, spelled, scalar), 4), scalar, object(["text", spelled]));
  const message = object(
    ["role", fc.constantFrom('"user"', '"us\\u0065r"', '"narrator"', '"a role of more than 16 bytes"', "7", "null")],
    ["role", fc.oneof(spelled, scalar)],
    ["content", content],
    ["content", content],
    ["name", fc.oneof(spelled, scalar)],
    ["tool_calls", list(object(["arguments", spelled]))],
    ["id", scalar],
    ["status", scalar],
    ["parts", content],
    ["y".repeat(64), scalar],
    ["y".repeat(65), scalar],
  );
  const document = (api: Api) =>
    object(
      ...[
        ["messages", api] as const,
        ["prompt", api] as const,
        ["input", api] as const,
        ["contents", api] as const,
      ].map(([key]): [string, fc.Arbitrary<string>] => [
        key,
        fc.oneof(list(fc.oneof(message, message, spelled), 5), spelled),
      ]),
      ["tools", fc.oneof(list(object(["name", spelled], ["parameters", fc.json()])), scalar)],
      ["functions", fc.oneof(list(scalar), fc.constant("null"), message)],
      ["system", content],
      ["instructions", content],
      ["systemInstruction", fc.oneof(object(["parts", content], ["role", scalar]), content)],
    );

  it("generated prompts, spelled in any way", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...apis).chain((api) => fc.tuple(fc.constant(api), document(api))),
        fc.string({ maxLength: 20 }),
        ([api, text], salt) => {
          check(api, text, { salt, model: salt });
        },
      ),
      { numRuns: 400 },
    );
  });

  it("an escape at every offset of a window, and half of one at the end", () => {
    for (const special of [
      '"',
      "\n",
      "\\",
      "é",
      "\ud83d\ude00",
      "\ud83d",
      "\ud83d\ud83d\ude00",
      "\ud83dx",
      "\ud83d\ue000",
      "\ude00",
      "/",
    ]) {
      for (let gap = 0; gap < 40; gap++) {
        const text = `${"x".repeat(gap)}${special.repeat(3)}y${special}`;
        const units = ascii(json({ messages: [{ role: "user", content: text, name: text }] }));
        check("chat", units.replaceAll("/", "\\/"));
      }
    }
  });

  it("the reference reads what JSON.parse reads", () => {
    const value = (node: ReturnType<typeof parse>): unknown =>
      node.kind === "object"
        ? Object.fromEntries([...node.members].map(([name, member]) => [name, value(member)]))
        : node.kind === "array"
          ? node.items.map(value)
          : JSON.parse(node.raw);
    fc.assert(
      fc.property(fc.oneof(body, fc.json()), (text) => {
        expect(value(parse(text))).toEqual(JSON.parse(text));
      }),
    );
  });
});
