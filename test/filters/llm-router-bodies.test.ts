import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectSameForEverySplit } from "../host/index.ts";
import "../host/matchers.ts";
import { base, chat, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** `model` wherever it stands in bodies of any size, and the edit that renames it. */

describe("bodies", () => {
  const filler = (bytes: number) =>
    JSON.stringify({ role: "user", content: 'say "hi"\n'.repeat(Math.ceil(bytes / 11)) });
  const sizes = [1, 4 << 10, 64 << 10, 65 << 10, 200 << 10, 1 << 20, 10 << 20];

  it.each(sizes)("rewrites model in front of and behind %i bytes", async (bytes) => {
    const gateway = await RouterHost.start({ ...base, maxBodyBytes: 32 << 20 });
    for (const body of [
      `{"model":"gpt-4o","messages":[${filler(bytes)}]}`,
      `{"messages":[${filler(bytes)}],"model":"gpt-4o","n":1}`,
    ]) {
      const expected = body.replace('"model":"gpt-4o"', '"model":"gpt-4o-2024-08-06"');
      const edited = sent(gateway.send(body));
      expect(edited.body === expected).toBe(true);
      expect(edited.length).toBe(String(expected.length));
    }
  });

  it("rewrites a model that lies across a window border", async () => {
    const gateway = await RouterHost.start(base);
    for (let shift = -12; shift <= 12; shift++) {
      const pad = " ".repeat((64 << 10) - 20 + shift);
      const body = `{"a":1,${pad}"model":"gpt-4o","b":2}`;
      expect(sent(gateway.send(body)).body === body.replace("gpt-4o", "gpt-4o-2024-08-06")).toBe(true);
    }
  });

  const pad = (bytes: number) => `"pad":"${"x".repeat(bytes)}"`;
  /** Where the last model may win and the end of the body shows it, the rest is not looked at. */
  const large: [name: string, body: string | Buffer, outcome: string, lastWins?: string][] = [
    ["first", `{"model":"a",${pad(200_000)}}`, "a"],
    ["last", `{${pad(200_000)},"model":"a"}`, "a"],
    ["last, with white space behind", `{${pad(200_000)},"model":"a"} \n\t }`.replace(/ }$/, ""), "a"],
    ["in the middle", `{${pad(200_000)},"model":"a",${pad(200_000).replace("pad", "pad2")}}`, "a"],
    ["in disguise", `{${pad(200_000)},"\\u006dodel":"a"}`, "a"],
    ["first and last", `{"model":"a",${pad(200_000)},"model":"b"}`, "ambiguous_model"],
    ["first, and last in disguise", `{"model":"a",${pad(200_000)},"mod\\u0065l":"b"}`, "ambiguous_model"],
    ["first, and in the middle", `{"model":"a",${pad(100_000)},"model":"b",${pad(100_000)}}`, "ambiguous_model"],
    ["twice near the end", `{${pad(200_000)},"model":"a","model":"b"}`, "ambiguous_model"],
    ["only as a value", `{${pad(200_000)},"object":"model"}`, "model_required"],
    ["only in a tool schema near the end", `{${pad(200_000)},"tools":[{"model":"a"}]}`, "model_required"],
    ["only in a tool schema near the beginning", `{"tools":[{"model":"a"}],${pad(200_000)}}`, "model_required"],
    ["nested first, then for real", `{"tools":{"model":"x"},${pad(200_000)},"model":"a"}`, "a"],
    ["for real, then nested", `{"model":"a",${pad(200_000)},"tools":{"model":"x"}}`, "a"],
    ["quoted in a prompt", `{${pad(200_000)},"p":"{\\"model\\":\\"x\\"}","model":"a"}`, "a"],
    ["behind 150 KB of white space", `{${" ".repeat(150_000)}"model":"a"}`, "a"],
    ["followed by 150 KB of white space", `{"model":"a"}${" ".repeat(150_000)}`, "a"],
    ["followed by white space and more", `{"model":"a"}${" ".repeat(150_000)}{}`, "invalid_json"],
    ["nowhere, in an object of white space", `{${" ".repeat(150_000)}}`, "model_required"],
    ["cut off", `{"model":"a",${pad(200_000)}`, "invalid_json"],
    ["in a second document", `{${pad(200_000)}}{"model":"a"}`, "invalid_json", "a"],
    ["behind one bracket too few", `{"x":[${pad(200_000).replace('"pad":', "")},"model":"a"}`, "invalid_json", "a"],
    [
      "behind bytes that are no text",
      Buffer.from(`{"a":"\xff",${pad(200_000)},"model":"a"}`, "latin1"),
      "invalid_utf8",
      "a",
    ],
    ["one bracket too many", `{${pad(200_000)},"model":"a"}}`, "invalid_json"],
  ];
  it.each(large)("over one window: model %s", async (_name, body, outcome) => {
    const gateway = await RouterHost.start({ models: [{ model: "*", route: "any" }] });
    const stream = gateway.send(body);
    expect(refusalOf(stream) ?? sent(stream).model).toBe(outcome);
  });

  it.each(large)("over one window, last model wins: model %s", async (_name, body, strict, outcome = strict) => {
    const gateway = await RouterHost.start({ models: [{ model: "*", route: "any" }], duplicateModel: "lastWins" });
    const stream = gateway.send(body);
    const expected = outcome === "ambiguous_model" ? (JSON.parse(body.toString()) as { model: string }).model : outcome;
    expect(refusalOf(stream) ?? sent(stream).model).toBe(expected);
  });

  it("over one window, last model wins: does not read the middle when the end shows it", async () => {
    const gateway = await RouterHost.start({ models: [{ model: "*", route: "any" }], duplicateModel: "lastWins" });
    const stream = gateway.send(`{"messages":[${filler(1 << 20)}],"model":"a"}`);
    expect(sent(stream).model).toBe("a");
    expect(stream.trace.filter((call) => call.name === "proxy_get_buffer_bytes").length).toBe(1);
  });

  it("over one window: agrees with JSON.parse on any object, wherever the windows end", async () => {
    const gateway = await RouterHost.start({ models: [{ model: "*", route: "any" }] });
    const member = fc.tuple(
      fc.constantFrom("model", "tools", "messages", "object"),
      fc.constantFrom<unknown>("gpt", "model", { model: "nested" }, ["model", { model: 1 }], 'say {"model":"x"}', 7),
      fc.constantFrom(0, 0, 40_000, 65_500, 65_520, 65_536, 131_060),
      fc.nat(30),
    );
    fc.assert(
      fc.property(fc.uniqueArray(member, { minLength: 1, maxLength: 4, selector: ([key]) => key }), (members) => {
        const body = `{${members.map(([key, value, gap, more]) => `${" ".repeat(gap + more)}${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
        const stream = gateway.send(body);
        const { model } = JSON.parse(body) as { model?: unknown };
        if (typeof model === "string") expect(sent(stream).model).toBe(model);
        else expect(stream).toHaveSentLocalResponse(400, /model_required/);
      }),
      { numRuns: 300 },
    );
  });

  it("that are not UTF-8 are refused, wherever that shows and however they are read", async () => {
    const plain = await RouterHost.start({ models: [{ model: "*", route: "any" }] });
    const target = { t: { route: "any" } };
    const read = await RouterHost.start({
      targets: target,
      rules: [{ name: "r", match: { stream: false }, targets: [{ target: "t" }] }],
    });
    const wrong = ["\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xc3", "\x80"];
    for (const before of [0, 4096, 65_518, 65_519, 65_520, 65_521, 65_522, 65_523, 200_000]) {
      for (const bytes of wrong) {
        const body = Buffer.from(`{"model":"m","a":"${"x".repeat(before)}${bytes}"}`, "latin1");
        for (const gateway of [plain, read]) {
          const stream = gateway.send(body);
          expect([before, bytes, refusalOf(stream)]).toEqual([before, bytes, "invalid_utf8"]);
          expect(stream).toHaveSentLocalResponse(400);
        }
      }
      const good = `{"model":"m","a":"${"x".repeat(before)}€𝄞é"}`;
      for (const gateway of [plain, read]) expect(sent(gateway.send(good)).route).toBe("any");
    }
  });

  it("are read to the same model with rules that look at all of them as without", async () => {
    const plain = await RouterHost.start({ models: [{ model: "*", route: "any", upstreamModel: "renamed" }] });
    const read = await RouterHost.start({
      models: [{ model: "*", route: "any", upstreamModel: "renamed" }],
      targets: { t: { route: "t" } },
      rules: [{ name: "r", match: { session: true, tools: true }, targets: [{ target: "t" }] }],
    });
    const texts = [
      '"model"',
      '"m"',
      '"n"',
      '"\\u006dodel"',
      '"\\ud800"',
      "null",
      "[",
      "]",
      "{",
      "}",
      ":",
      ",",
      " ",
      "1e5",
      "01",
      "tru",
      '"é',
    ];
    const document = fc.oneof(
      fc.array(fc.constantFrom(...texts), { maxLength: 12 }).map((parts) => `{"model":"m",${parts.join("")}}`),
      fc.array(fc.constantFrom(...texts), { maxLength: 12 }).map((parts) => parts.join("")),
      fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify({ a: value, model: "m", b: value })),
      fc
        .uint8Array({ maxLength: 12 })
        .map((bytes) => Buffer.concat([Buffer.from('{"model":"m","a":"'), bytes, Buffer.from('"}')])),
    );
    fc.assert(
      fc.property(document, (body) => {
        const [one, other] = [plain.send(body, chat()), read.send(body, chat())];
        expect([refusalOf(one), sent(one)]).toEqual([refusalOf(other), sent(other)]);
      }),
      { numRuns: 2000 },
    );
  });

  it("does the same however the body is cut", async () => {
    const gateway = await RouterHost.start(base);
    expectSameForEverySplit('{"messages":[{"content":"a\\"b"}],"model":"gpt-4o","x":"é"}', (chunks) => {
      const stream = gateway.router.exchange({ headers: chat(), body: chunks });
      return [stream.upstream.headers?.toObject(), stream.upstream.text, stream.downstream.text];
    });
  });
});
