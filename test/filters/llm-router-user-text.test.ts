import { describe, expect, it } from "vitest";
import { seededRandom } from "../host/clock.ts";
import { expectSameForEverySplit } from "../host/index.ts";
import { chat, RouterHost, sent } from "./router-driver.ts";

/** `lastUserMessage`: a pattern over text that lies in the body as JSON strings, read in windows and decoded in pieces. */

const gatewayFor = (lastUserMessage: string, match: object = {}) =>
  RouterHost.start({
    models: [{ model: "*", route: "no" }],
    targets: { yes: { route: "yes" } },
    rules: [{ name: "r", match: { lastUserMessage, ...match }, targets: [{ target: "yes" }] }],
  });

/** `content` is raw JSON. */
const bodyOf = (...contents: string[]) =>
  `{"model":"m","messages":[${contents.map((content) => `{"role":"user","content":${content}}`).join(",")}]}`;
const parts = (...texts: string[]) => JSON.stringify(texts.map((text) => ({ type: "text", text })));

const matches = (gateway: RouterHost, body: string, path = "/v1/chat/completions") =>
  sent(gateway.send(body, chat({ ":path": path }))).route === "yes";

describe("text", () => {
  const cases: [name: string, pattern: string, body: string, expected: boolean][] = [
    ["plain", "weather", bodyOf('"the weather today"'), true],
    ["anchored", "^the", bodyOf('"the weather"'), true],
    ["anchored elsewhere", "^weather", bodyOf('"the weather"'), false],
    ["with escapes in the body", '^say "hi"\\n\\\\ /$', bodyOf('"\\u0073ay \\"hi\\"\\n\\\\ \\/"'), true],
    ["escapes are not text themselves", "u0073|\\\\", bodyOf('"\\u0073ay"'), false],
    ["with a surrogate pair", "^😀$", bodyOf('"\\ud83d\\ude00"'), true],
    ["with half a surrogate pair, which is a character of its own", "^a\\x{fffd}b$", bodyOf('"a\\ud83db"'), true],
    ["with half a surrogate pair at its end", "^a\\x{fffd}$", bodyOf('"a\\ud83d"'), true],
    ["without regard to case", "(?i)WEATHER", bodyOf('"Weather"'), true],
    ["of the last message only", "first", bodyOf('"first"', '"second"'), false],
    ["of the last message that has text", "first", bodyOf('"first"', "[]"), true],
    ["in several parts", "^a\\nb$", bodyOf(parts("a", "b")), true],
    ["not across a border of parts", "ab", bodyOf(parts("a", "b")), false],
    ["not across a border of messages", "a\\nb", bodyOf('"a"', '"b"'), false],
    ["begins with the first part only", "^b", bodyOf(parts("a", "b")), false],
    ["ends with the last part only", "a$", bodyOf(parts("a", "b")), false],
    ["empty", "^$", bodyOf('""'), true],
    ["none", "^$", '{"model":"m","messages":[]}', false],
    ["none of the user", "x", '{"model":"m","messages":[{"role":"assistant","content":"x"}]}', false],
    ["of nine parts, the first", "p0", bodyOf(parts(...Array.from({ length: 9 }, (_, i) => `p${i}`))), true],
    ["of nine parts, not the fifth", "p4", bodyOf(parts(...Array.from({ length: 9 }, (_, i) => `p${i}`))), false],
    ["of nine parts, the last", "p8$", bodyOf(parts(...Array.from({ length: 9 }, (_, i) => `p${i}`))), true],
  ];
  it.each(cases)("%s", async (_name, pattern, body, expected) => {
    expect(matches(await gatewayFor(pattern), body)).toBe(expected);
  });

  it.each([
    ["/v1/responses", '{"model":"m","input":"needle"}'],
    ["/v1/completions", '{"model":"m","prompt":["x","needle"]}'],
    ["/v1/embeddings", '{"model":"m","input":["x","needle"]}'],
    ["/v1/messages", '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"needle"}]}]}'],
    ["/v1beta/models/m:generateContent", '{"contents":[{"parts":[{"text":"needle"}]}]}'],
  ])("of %s", async (path, body) => {
    const gateway = await gatewayFor("needle");
    expect(matches(gateway, body, path)).toBe(true);
    expect(matches(gateway, body.replace("needle", "needl"), path)).toBe(false);
  });
});

describe("long text", () => {
  it("is searched across the borders of windows and pieces", async () => {
    const gateway = await gatewayFor("need[l]e");
    for (const border of [4096, 2 * 4096, 65_536, 65_536 + 4096, 2 * 65_536]) {
      for (let shift = -12; shift <= 2; shift++) {
        const before = border + shift;
        expect(matches(gateway, bodyOf(`"${"x".repeat(before)}needle${"y".repeat(70_000)}"`))).toBe(true);
        expect(matches(gateway, bodyOf(`"${"x".repeat(before)}need-le"`))).toBe(false);
      }
    }
  });

  it("is decoded across the borders of windows and pieces", async () => {
    const gateway = await gatewayFor("^x*😀\\n$");
    for (const border of [4096, 65_536]) {
      for (let shift = -20; shift <= 2; shift++) {
        const body = bodyOf(`"${"x".repeat(border + shift)}\\ud83d\\ude00\\n"`);
        expect(matches(gateway, body)).toBe(true);
      }
    }
  });

  it("is searched from end to end when nothing matches, in constant memory", async () => {
    const gateway = await gatewayFor("(a|b)*c$");
    const body = bodyOf(`"${"ab".repeat(1_000_000)}d"`);
    expect(matches(gateway, body)).toBe(false);
    const pages = gateway.vm.memory.pages;
    for (let round = 0; round < 5; round++) matches(gateway, body);
    expect(gateway.vm.memory.pages).toBe(pages);
  });
});

describe("a text that was made to cost much", () => {
  /** Nearly every character leads this pattern to a state of its own, and the one that matches comes last. */
  const pattern = "a[ax]{250}b";
  const hostile = (length: number) => {
    const random = seededRandom(7);
    const noise = Array.from({ length }, () => (random() < 0.5 ? "a" : "x")).join("");
    return bodyOf(`"${noise}a${"x".repeat(250)}b"`);
  };

  it("does not match, whatever it says, and the next text has its own budget", async () => {
    const gateway = await gatewayFor(pattern);
    const [small, large] = [hostile(1000), hostile(1_000_000)];
    for (let round = 0; round < 3; round++) {
      expect(matches(gateway, small)).toBe(true);
      expect(matches(gateway, large)).toBe(false);
    }
  });

  it("is none when it only is long", async () => {
    const gateway = await gatewayFor(pattern);
    const text = `${"the weather today ".repeat(100_000)}a${"x".repeat(250)}b`;
    expect(matches(gateway, bodyOf(JSON.stringify(text)))).toBe(true);
  });
});

describe("rules with the same or another pattern", () => {
  it("do not disturb each other", async () => {
    const targets = { a: { route: "a" }, b: { route: "b" }, c: { route: "c" } };
    const rule = (name: keyof typeof targets, lastUserMessage: string) => ({
      name,
      match: { lastUserMessage },
      targets: [{ target: name }],
    });
    const gateway = await RouterHost.start({
      models: [{ model: "*", route: "none" }],
      targets,
      rules: [rule("a", "^one"), rule("b", "two$"), rule("c", "^one")],
    });
    const routeOf = (text: string) => sent(gateway.send(bodyOf(JSON.stringify(text)))).route;
    for (let round = 0; round < 3; round++) {
      expect(["one", "one two", "two", "x two", "x"].map(routeOf)).toEqual(["a", "a", "b", "b", "none"]);
    }
  });

  it("leave the body as it was, to be edited afterwards", async () => {
    const gateway = await RouterHost.start({
      targets: { t: { route: "t", upstreamModel: "renamed" } },
      rules: [{ name: "r", match: { lastUserMessage: "needle" }, targets: [{ target: "t" }] }],
    });
    for (const size of [10, 70_000, 200_000]) {
      const body = bodyOf(`"${"x".repeat(size)}needle"`);
      for (const one of [body, `{${body.slice(13, -1)},"model":"m"}`]) {
        expect(sent(gateway.send(one)).body === one.replace('"model":"m"', '"model":"renamed"')).toBe(true);
      }
    }
  });
});

it("does not depend on how the body is cut", async () => {
  const gateway = await gatewayFor("^é\\n\\x{1f600}$");
  const body = bodyOf('"no"', '[{"type":"text","text":"\\u00e9"},{"text":"\\ud83d\\ude00","type":"text"}]');
  const count = expectSameForEverySplit(body, (pieces) => {
    const stream = gateway.router.exchange({ headers: chat(), body: pieces });
    expect(sent(stream).route).toBe("yes");
    return stream.upstream.text;
  });
  expect(count).toBeGreaterThan(body.length);
});
