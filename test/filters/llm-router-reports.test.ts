import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { chat, RouterHost, sent } from "./router-driver.ts";

/** What operators and clients are told of one call: filter state for access logs, and headers on answers. */

const pool = {
  targets: { a: { route: "a" }, b: { route: "b", upstreamModel: 'b "model"' } },
  rules: [{ name: "pool", match: { models: ["pooled"] }, targets: [{ target: "a" }], fallback: { targets: ["b"] } }],
};
const config = { models: [{ model: "*", route: "r", upstreamModel: "up" }], ...pool };

/** Strict: invalid UTF-8 is an error, too. */
function stateOf(stream: Stream): unknown {
  const bytes = stream.filterState("llm");
  return bytes && JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
}

function answer(stream: Stream, body = '{"usage":{"prompt_tokens":12,"completion_tokens":34}}'): Stream {
  return stream.responseHeaders({ ":status": "200" }).responseBody(body, { endOfStream: true });
}

describe("the access log", () => {
  it("knows API, model, target and tokens", async () => {
    const gateway = await RouterHost.start({ ...config, accessLog: true });
    const stream = answer(gateway.send('{"model":"gpt-4o"}'));
    expect(stateOf(stream)).toEqual({
      api: "openai.chat",
      model: "gpt-4o",
      target: "r",
      served_model: "up",
      input_tokens: 12,
      output_tokens: 34,
    });
    const cached = '{"usage":{"prompt_tokens":1,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":1}}}';
    expect(stateOf(answer(gateway.send('{"model":"m"}'), cached))).toMatchObject({
      output_tokens: 0,
      cached_tokens: 1,
    });
  });

  it("knows the target that answered, and leaves out what is not known", async () => {
    const gateway = await RouterHost.start({ ...config, accessLog: true });
    const request = gateway.send('{"model":"pooled"}');
    gateway.attempt(request, { target: "a" }).end();
    gateway.answer(request, gateway.attempt(request, { target: "b" }), "{}");
    expect(stateOf(request)).toEqual({
      api: "openai.chat",
      model: "pooled",
      target: "b",
      served_model: 'b "model"',
      rule: "pool",
    });
  });

  it("is written for answers that are headers only, and for nothing when it is not wanted", async () => {
    const gateway = await RouterHost.start({ ...config, accessLog: true });
    const bare = gateway.send('{"model":"m"}').responseHeaders({ ":status": "204" }, { endOfStream: true });
    expect(stateOf(bare)).toMatchObject({ model: "m" });
    const refused = gateway.send("{");
    expect(refused.filterState("llm")).toBeUndefined();
    const off = await RouterHost.start(config);
    expect(answer(off.send('{"model":"m"}')).filterState("llm")).toBeUndefined();
  });

  it("knows where a request went whose answer breaks off, never comes, or ends in trailers", async () => {
    const gateway = await RouterHost.start({ ...config, accessLog: true });
    const never = gateway.send('{"model":"m"}').end();
    expect(stateOf(never)).toEqual({ api: "openai.chat", model: "m", target: "r", served_model: "up" });
    const request = gateway.send('{"model":"pooled"}');
    expect(stateOf(request)).toMatchObject({ target: "a", rule: "pool" });
    gateway.attempt(request, { target: "a" }).end();
    gateway.attempt(request, { target: "b" });
    request.responseHeaders({ ":status": "200" }).responseBody("data: {}\n\n", {}).end();
    expect(stateOf(request)).toMatchObject({ target: "b", served_model: 'b "model"', rule: "pool" });
    const trailers = gateway.send('{"model":"m"}').responseHeaders({ ":status": "200" });
    trailers.responseBody('{"usage":{"prompt_tokens":12}}', {}).responseTrailers({ "x-t": "1" });
    expect(stateOf(trailers)).toMatchObject({ target: "r", input_tokens: 12 });
  });

  it("is valid JSON whatever the model is called", async () => {
    const gateway = await RouterHost.start({ ...config, accessLog: true, onUnknownModel: { route: "unknown" } });
    const ask = (body: string | Uint8Array, path = "/v1/chat/completions") => {
      const state = stateOf(answer(gateway.send(body, chat({ ":path": path }))));
      expect(state).toMatchObject({ model: expect.any(String) });
      return state as { model: string };
    };
    const any = fc.oneof(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.constantFrom("\u0000", '"', "\\", "\u007f", "\ud800x"),
    );
    fc.assert(
      fc.property(
        any.filter((model) => model !== ""),
        (model) => {
          const state = ask(JSON.stringify({ model }));
          const usable = model.isWellFormed() && Buffer.byteLength(model) <= 256 && !/\p{Cc}/u.test(model);
          if (usable) expect(state.model).toBe(model);
        },
      ),
      { numRuns: 500 },
    );
    for (let length = 250; length < 260; length++) ask(JSON.stringify({ model: `${"x".repeat(length)}é😀`.repeat(2) }));
    const gemini = (name: string) => ask("{}", `/v1beta/models/${name}:generateContent`);
    for (const name of ["%ff", "a%c3", "%ed%a0%80", "%00", "%22%5c", `${"x".repeat(255)}%c3%a9`, "a%zz", "\u00ff"])
      gemini(name);
  });
});

describe("headers on answers", () => {
  const shown = (stream: Stream) =>
    ["x-llm-model", "x-llm-target", "x-llm-attempts"].map((name) => stream.downstream.headers?.all(name).join());

  it("say which model, which target and how many attempts", async () => {
    const gateway = await RouterHost.start({ ...config, responseHeaders: true });
    expect(shown(answer(gateway.send('{"model":"gpt-4o"}')))).toEqual(["up", "r", "1"]);
    const request = gateway.send('{"model":"pooled"}');
    for (const target of ["a", "a"]) gateway.attempt(request, { target }).end();
    gateway.answer(request, gateway.attempt(request, { target: "b" }), "{}");
    expect(shown(request)).toEqual(['b "model"', "b", "3"]);
    const first = gateway.send('{"model":"pooled"}');
    gateway.answer(first, gateway.attempt(first, { target: "a" }), "{}");
    expect(shown(first)).toEqual(["pooled", "a", "1"]);
  });

  it("take the place of the upstream's own", async () => {
    const gateway = await RouterHost.start({ ...config, responseHeaders: true });
    const stream = gateway.send('{"model":"m"}');
    stream.responseHeaders(
      [
        [":status", "200"],
        ["x-llm-model", "evil"],
        ["x-llm-target", "evil"],
      ],
      { endOfStream: true },
    );
    expect(shown(stream)).toEqual(["up", "r", "1"]);
  });

  it("are there when Envoy answers for the upstream, and not on our own refusals", async () => {
    const gateway = await RouterHost.start({ ...config, responseHeaders: true });
    const request = gateway.send('{"model":"pooled"}');
    request.responseHeaders({ ":status": "503" }, { endOfStream: true });
    expect(shown(request)).toEqual(["pooled", "a", "0"]);
    expect(shown(gateway.send("{"))).toEqual(["", "", ""]);
    const off = await RouterHost.start(config);
    expect(shown(answer(off.send('{"model":"m"}')))).toEqual(["", "", ""]);
  });

  it("name no model where none is known", async () => {
    const gateway = await RouterHost.start({ ...config, responseHeaders: true, onMalformedBody: { route: "raw" } });
    const stream = answer(gateway.send("{"));
    expect(sent(stream).route).toBe("raw");
    expect(shown(stream)).toEqual(["", "raw", "1"]);
    expect(stream.downstream.headers?.has("x-llm-model")).toBe(false);
  });
});

describe("the missing attempt filter", () => {
  it("is reported once, when an upstream answered a planned request without it", async () => {
    const gateway = await RouterHost.start(config);
    const reports = () => gateway.host.logs.filter(({ message }) => message.includes("llm-router-attempt")).length;
    const local = gateway.send('{"model":"pooled"}');
    local.responseHeaders({ ":status": "503" }, { endOfStream: true });
    expect(reports()).toBe(0);
    for (let i = 0; i < 3; i++) {
      const request = gateway.send('{"model":"pooled"}').setAttribute("upstream.address", "10.0.0.1:80");
      request.responseHeaders({ ":status": "200" }, { endOfStream: true });
    }
    expect(reports()).toBe(1);
  });
});
