import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Status } from "../host/abi.ts";
import { ProxyWasmHost } from "../host/index.ts";
import {
  AMOUNT,
  asked,
  call,
  counts,
  done,
  event,
  gatewayWasm,
  hostcalls,
  left,
  limits,
  start,
  stream,
  streamHeaders,
  token,
  usage,
} from "./include-usage-driver.ts";
import { RouterHost } from "./router-driver.ts";

/** Usage that the limiter needs and the client did not ask for: asked for upstream, counted, and taken out of the answer. */

const ON = { include_usage: true };
const pad = "x".repeat(70_000);
const length = (request: { upstream: { headers?: { get(name: string): string | undefined } | undefined } }) =>
  Number(request.upstream.headers?.get("content-length"));

describe("the request", () => {
  it.each<[string, string, string]>([
    ["nothing", '{"model":"m","stream":true}', '{"stream_options":{"include_usage":true},"model":"m","stream":true}'],
    [
      "null",
      '{"model":"m","stream_options":null,"stream":true}',
      '{"model":"m","stream_options":{"include_usage":true},"stream":true}',
    ],
    [
      "an empty object",
      '{"stream":true,"stream_options":{ }}',
      '{"stream":true,"stream_options":{"include_usage":true }}',
    ],
    [
      "another member",
      '{"stream":true,"stream_options":{ "a" : {"include_usage":false}}}',
      '{"stream":true,"stream_options":{"include_usage":true, "a" : {"include_usage":false}}}',
    ],
    [
      "false",
      '{"stream_options":{"b":1, "include_usage" : false ,"c":[]},"stream":true}',
      '{"stream_options":{"b":1, "include_usage" : true ,"c":[]},"stream":true}',
    ],
    [
      "a null in it",
      '{"stream_options":{"include_usage":null},"stream":true}',
      '{"stream_options":{"include_usage":true},"stream":true}',
    ],
    [
      "nothing, in a body that is printed nicely",
      '{\n  "stream": true,\n  "messages": []\n}\n',
      '{"stream_options":{"include_usage":true},\n  "stream": true,\n  "messages": []\n}\n',
    ],
  ])("with %s for stream_options asks for usage, and is the same otherwise", async (_, body, expected) => {
    const gateway = await start();
    for (const path of ["/v1/chat/completions", "/v1/completions"]) {
      const request = gateway.ask(body, [[":path", path]]);
      expect(request.upstream.text).toBe(expected);
      expect(length(request)).toBe(expected.length);
      expect(stream(request, [token, usage, done]).downstream.text).toBe(token + done);
    }
    expect(gateway.trapped).toBe(false);
  });

  it.each<[string, object | string, string?]>([
    ["no stream", call],
    ["stream: false", { ...call, stream: false, stream_options: null }],
    ["stream: null", { ...call, stream: null }],
    ["stream: 1", { ...call, stream: 1 }],
    ['stream: "true"', { ...call, stream: "true" }],
    ["stream: [true]", { ...call, stream: [true] }],
    ["two streams", '{"stream":true,"stream":true}'],
    ["include_usage: true", { ...call, stream: true, stream_options: ON }],
    ["include_usage as a text", { ...call, stream: true, stream_options: { include_usage: "true" } }],
    ["include_usage as a number", { ...call, stream: true, stream_options: { include_usage: 0 } }],
    ["include_usage as an object", { ...call, stream: true, stream_options: { include_usage: {} } }],
    ["two include_usage", '{"stream":true,"stream_options":{"include_usage":false,"include_usage":null}}'],
    ["two stream_options", '{"stream_options":null,"stream":true,"stream_options":{}}'],
    ["a list", { ...call, stream: true, stream_options: [] }],
    ["a text", { ...call, stream: true, stream_options: "null" }],
    ["false", { ...call, stream: true, stream_options: false }],
    ["true", { ...call, stream: true, stream_options: true }],
    ["a number", { ...call, stream: true, stream_options: 0 }],
    ["responses", { model: "m", input: "a", stream: true }, "/v1/responses"],
    ["messages", { ...call, stream: true }, "/v1/messages"],
    ["embeddings", { model: "m", input: "a", stream: true }, "/v1/embeddings"],
    ["Gemini", { contents: [], stream: true }, "/v1beta/models/m:streamGenerateContent?alt=sse"],
  ])("%s: stays as it is, and so does its answer", async (_, body, path = "/v1/chat/completions") => {
    const gateway = await start();
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const request = gateway.ask(text, [[":path", path]]);
    expect(request.upstream.text).toBe(text);
    expect(length(request)).toBe(text.length);
    const pieces = [token, usage.slice(0, 20), usage.slice(20), done];
    expect(stream(request, pieces).downstream.text).toBe(token + usage + done);
    expect(request.downstream.frames).toEqual([...pieces.map((piece) => piece.length), 0]);
  });

  it.each<[string, object]>([
    ["the configuration says so", { ...limits(), includeUsage: false }],
    ["only requests are counted", { rules: [{ name: "a", limits: [{ unit: "requests", amount: 9, per: "day" }] }] }],
    ["no rule matches", limits({ match: { models: ["other"] } })],
    [
      "the rule that counts tokens does not match",
      {
        rules: [
          ...limits({ match: { models: ["other"] } }).rules,
          { name: "a", limits: [{ unit: "requests", amount: 9, per: "day" }] },
        ],
      },
    ],
  ])("stays as it is if %s", async (_, config) => {
    const gateway = await start(config);
    const body = JSON.stringify({ ...call, stream: true });
    const request = gateway.ask(body);
    expect(request.upstream.text).toBe(body);
    expect(stream(request, [token, usage, done]).downstream.text).toBe(token + usage + done);
  });

  it.each(["promptTokens", "completionTokens", "weightedTokens", "money"])("asks for a limit of %s", async (unit) => {
    const prices = unit === "money" ? { prices: [{ model: "*", input: 1, output: 1 }] } : {};
    const gateway = await start({ rules: [{ name: "a", limits: [{ unit, amount: 9, per: "day" }], ...prices }] });
    expect(asked(gateway.ask({ ...call, stream: true }))).toMatchObject({ stream_options: ON });
  });

  it("is changed in the middle of a body of many windows, without a content-length too", async () => {
    const gateway = await start();
    const body = { messages: [{ role: "user", content: pad }], stream_options: { a: pad }, b: pad, stream: true };
    const request = gateway.ask(body);
    expect(asked(request)).toEqual({ ...body, stream_options: { ...ON, ...body.stream_options } });
    expect(length(request)).toBe(request.upstream.body.length);
    // Window by window: the body is never in the VM as a whole.
    const edits = hostcalls(request).filter((name) => name === "request_body: set_buffer_bytes");
    expect(edits.length).toBe(2 * Math.ceil(JSON.stringify(body).length / 65_536));
    const chunked = gateway.plugin.stream();
    chunked.requestHeaders([
      [":method", "POST"],
      [":path", "/v1/chat/completions"],
      [":authority", "a"],
    ]);
    for (const piece of [JSON.stringify(body).slice(0, 99), JSON.stringify(body).slice(99)]) chunked.requestBody(piece);
    chunked.requestTrailers([["x-t", "1"]]);
    expect(asked(chunked)).toEqual({ ...body, stream_options: { ...ON, ...body.stream_options } });
    expect(chunked.upstream.headers?.has("content-length")).toBe(false);
  });
});

describe("a request that gets another model name too", () => {
  const targets = {
    plain: { cluster: "p", upstreamModel: 'a"longer"name' },
    first: { cluster: "a", upstreamModel: "first-name", host: "a.example" },
    second: { cluster: "b", upstreamModel: "s", host: "b.example" },
    same: { cluster: "c", host: "c.example" },
  };
  const to = (name: string, more: object = {}) => ({
    name,
    match: { models: [name] },
    targets: [{ target: name }],
    ...more,
  });
  const router = {
    targets,
    rules: [to("plain"), to("first", { fallback: { targets: ["second", "same"] } })],
    models: [{ model: "*", route: "r", upstreamModel: "given" }],
    onMissingModel: { route: "r", upstreamModel: "missing" },
  };
  const config = { router, rateLimit: limits() };

  const bodies = (model: string | undefined) => {
    const options = { a: 1, include_usage: false };
    const name = model === undefined ? {} : { model };
    return [
      { ...name, stream: true },
      { stream: true, messages: [], ...name },
      { ...name, messages: [], stream: true, stream_options: options },
      { stream_options: options, messages: [], stream: true, ...name },
      { stream_options: null, messages: [{ role: "user", content: pad }], ...name, stream: true },
      { messages: [{ role: "user", content: pad }], ...name, stream: true, b: pad, stream_options: options, c: pad },
      { messages: [{ role: "user", content: pad }], stream_options: options, b: pad, stream: true, ...name, c: pad },
    ];
  };
  const expected = (body: object, model: string) => {
    const options = (body as { stream_options?: object | null }).stream_options ?? {};
    return { ...body, model, stream_options: { ...options, ...ON } };
  };

  it.each([undefined, 2])("is right when the router writes the name (indent %s)", async (indent) => {
    const gateway = await start(config, gatewayWasm);
    for (const [model, served] of [
      ["plain", 'a"longer"name'],
      ["m", "given"],
      [undefined, "missing"],
    ] as const)
      for (const body of bodies(model)) {
        const request = gateway.ask(JSON.stringify(body, undefined, indent));
        expect(asked(request)).toEqual(expected(body, served));
        expect(length(request)).toBe(request.upstream.body.length);
        expect(stream(request, [token, usage, done]).downstream.text).toBe(token + done);
      }
    expect(gateway.trapped).toBe(false);
  });

  it("is right when every attempt writes another one, in whatever pieces the body comes", async () => {
    const gateway = await RouterHost.start(config, gatewayWasm);
    for (const body of bodies("first")) {
      const text = JSON.stringify(body);
      const request = gateway.send(text);
      expect(asked(request)).toEqual(expected(body, "first"));
      for (const [target, served] of [
        ["first", "first-name"],
        ["second", "s"],
        ["same", "first"],
        ["first", "first-name"],
      ] as const) {
        const whole = request.upstream.body;
        const cut = Math.floor(whole.length / 2);
        const chunks = target === "first" ? [whole] : [whole.subarray(0, cut), whole.subarray(cut)];
        const attempt = gateway.attempt(request, { target, chunks });
        expect(asked(attempt)).toEqual(expected(body, served));
        expect(length(attempt)).toBe(attempt.upstream.body.length);
      }
      stream(request, [token, usage, done]);
      expect(request.downstream.text).toBe(token + done);
    }
    expect(gateway.trapped).toBe(false);
  });

  it("is right where an attempt puts in the name that the client left out", async () => {
    const given = { ...router, onMissingModel: { target: "first" } };
    const gateway = await RouterHost.start({ router: given, rateLimit: limits() }, gatewayWasm);
    const body = { messages: [], stream: true };
    const request = gateway.send(JSON.stringify(body));
    expect(asked(request)).toEqual({ ...body, stream_options: ON });
    const attempt = gateway.attempt(request, { target: "first" });
    expect(asked(attempt)).toEqual({ ...body, stream_options: ON, model: "first-name" });
    expect(length(attempt)).toBe(attempt.upstream.body.length);
  });

  it("is right for any body", async () => {
    const gateway = await start(config, gatewayWasm);
    const options = fc.oneof(
      fc.constant(undefined),
      fc.constant(null),
      fc.record({ a: fc.jsonValue(), include_usage: fc.constantFrom(false, null) }, { requiredKeys: [] }),
    );
    const sizes = fc.constantFrom(0, 10, 65_400, 65_536, 140_000);
    fc.assert(
      fc.property(
        options,
        fc.constantFrom("plain", "given", 'x"\\é'),
        fc.array(fc.tuple(fc.constantFrom("b", "c", "d"), sizes), { maxLength: 3 }),
        fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }),
        fc.constantFrom(undefined, 1, "\t"),
        (stream_options, model, padding, order, indent) => {
          const members: [string, unknown][] = [
            ["model", model],
            ["stream", true],
            ["stream_options", stream_options],
            ...padding.map(([name, size]): [string, unknown] => [name, "y".repeat(size)]),
          ];
          const body = Object.fromEntries(order.flatMap((index) => (members[index] ? [members[index]] : [])));
          const request = gateway.ask(JSON.stringify(body, undefined, indent));
          // -0 is 0 in JSON.
          const plain = JSON.parse(JSON.stringify(expected(body, model === "plain" ? 'a"longer"name' : "given")));
          expect(asked(request)).toEqual(plain);
          expect(length(request)).toBe(request.upstream.body.length);
          request.end();
          gateway.host.advance(60_000);
        },
      ),
      { numRuns: 150 },
    );
    expect(gateway.trapped).toBe(false);
  });
});

describe("stages behind the limiter", () => {
  it("read the body as the client sent it", async () => {
    const router = {
      targets: { t: { route: "found" } },
      rules: [{ name: "words", match: { lastUserMessage: "needle$" }, targets: [{ target: "t" }] }],
      models: [{ model: "*", route: "other" }],
    };
    const gateway = await start({ router, rateLimit: limits() }, gatewayWasm);
    for (const padding of ["", pad])
      for (const [content, route] of [
        ["a needle", "found"],
        ["a needle.", "other"],
      ]) {
        const body = { stream: true, a: padding, messages: [{ role: "user", content }], model: "m", b: padding };
        const request = gateway.ask(body);
        expect(request.upstream.headers?.get("x-llm-route")).toBe(route);
        expect(asked(request)).toEqual({ ...body, stream_options: ON });
      }
  });
});

describe("a host that refuses", () => {
  it("the edit of the request gets no request: nobody knows what the body is now", async () => {
    const gateway = await start();
    gateway.host.faults.inject({ call: "proxy_set_buffer_bytes", status: Status.BadArgument });
    const request = gateway.ask({ ...call, stream: true });
    expect([request.localReply?.status, request.localReply?.details]).toEqual([500, "tokenmesh_body_unreadable"]);
    expect(left(gateway)).toBe(AMOUNT);
  });

  it("to show or change the answer gets it as it is from there on", async () => {
    for (const name of ["proxy_set_buffer_bytes", "proxy_get_header_map_pairs"]) {
      const gateway = await start();
      const request = gateway.ask({ ...call, stream: true });
      gateway.host.faults.inject({ call: name, status: Status.BadArgument, times: 2 });
      expect(stream(request, [token, usage, done, usage]).downstream.text).toBe(token + usage + done + usage);
      expect(gateway.trapped).toBe(false);
    }
  });
});

it("is configured by true or false", async () => {
  const host = await ProxyWasmHost.load("build/filters/token-rate-limit.wasm", { workers: 1 });
  for (const includeUsage of [0, "true", null, {}]) {
    const config = { ...limits(), includeUsage };
    expect(() => host.plugin({ name: "token-rate-limit", rootId: "token-rate-limit", config })).toThrow();
    expect(host.logs.at(-1)?.message).toBe("token-rate-limit: includeUsage: must be true or false");
  }
});

describe("a request that a later stage refuses", () => {
  it("is not changed, nor is the answer to it", async () => {
    const router = { models: [{ model: "known", route: "r" }] };
    const gateway = await start({ router, rateLimit: limits() }, gatewayWasm);
    const request = gateway.ask({ ...call, stream: true });
    expect(request.localReply?.status).toBe(404);
    expect(hostcalls(request).filter((name) => name.includes("set_buffer"))).toEqual([]);
  });
});

describe("the budget", () => {
  const spent = async (body: object, pieces: readonly string[], config: object = limits()) => {
    const gateway = await start(config);
    stream(gateway.ask(body), pieces);
    return AMOUNT - left(gateway);
  };

  it("is charged what the event says that is taken out, cut anywhere", async () => {
    const body = { ...call, stream: true };
    expect(await spent(body, [token, usage, done])).toBe(12);
    for (let at = 1; at < usage.length; at += 7)
      expect(await spent(body, [token, usage.slice(0, at), usage.slice(at), done])).toBe(12);
  });

  it("is charged the same when the client asked for it, and when usage comes beside choices", async () => {
    expect(await spent({ ...call, stream: true, stream_options: ON }, [token, usage, done])).toBe(12);
    const last = event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage: counts });
    const gateway = await start();
    const request = stream(gateway.ask({ ...call, stream: true }), [token, last, done]);
    expect(request.downstream.text).toBe(token + last + done);
    expect(AMOUNT - left(gateway)).toBe(12);
  });

  it("goes by bytes where usage may not be asked for", async () => {
    const config = { ...limits(), includeUsage: false };
    expect(await spent({ ...call, stream: true }, [token, done], config)).not.toBe(12);
  });
});

describe("hostcalls", () => {
  const body = { ...call, stream: true };
  const quiet = { ...limits(), metrics: { enabled: false } };
  const made = async (config: object, pieces: readonly string[], headers = streamHeaders) => {
    const gateway = await start(config);
    const request = stream(gateway.ask(body), pieces, headers).end();
    return hostcalls(request);
  };
  const without = (config: object, pieces: readonly string[]) => made({ ...config, includeUsage: false }, pieces);

  it("are one edit, its length, one edit of the answer, and its headers in two instead of three", async () => {
    const pieces = [token, token, token + token, usage, done];
    const more = await made(quiet, pieces);
    const before = await without(quiet, pieces);
    const heads = (calls: readonly string[]) => calls.filter((name) => name.startsWith("response_headers: "));
    expect(heads(before)).toEqual(Array(3).fill("response_headers: replace_header_map_value"));
    expect(heads(more)).toEqual(["response_headers: get_header_map_pairs", "response_headers: set_header_map_pairs"]);
    const rest = more.filter((name) => !heads(more).includes(name));
    for (const name of before.filter((name) => !heads(before).includes(name))) rest.splice(rest.indexOf(name), 1);
    expect(rest).toEqual([
      "request_body: set_buffer_bytes",
      "request_body: replace_header_map_value",
      "response_body: set_buffer_bytes",
    ]);
  });

  it("are one for each piece that ends inside of an event which may be the one, and none for others", async () => {
    const edits = async (pieces: readonly string[]) =>
      (await made(quiet, pieces)).filter((name) => name === "response_body: set_buffer_bytes").length;
    const known = token.indexOf("[{") + 2;
    expect(await edits([token, token, done])).toBe(0);
    expect(await edits([token + token.slice(0, known), token.slice(known), done])).toBe(0);
    expect(await edits([token.slice(0, known), token.slice(known, known + 3), token.slice(known + 3), done])).toBe(0);
    expect(await edits([token + token.slice(0, 9), token.slice(9), done])).toBe(2);
    expect(await edits([": ping\n", ": ping\n", "\n", token, "data: [", "DONE]\n\n"])).toBe(0);
    expect(await edits([token + usage + done])).toBe(1);
  });

  it("are one more where the answer has a content-length, which goes", async () => {
    const gateway = await start();
    const sized: [string, string][] = [...streamHeaders, ["content-length", "999"]];
    const request = stream(gateway.ask(body), [token, usage], sized);
    expect(request.downstream.headers?.has("content-length")).toBe(false);
    expect(hostcalls(request)).toContain("response_headers: remove_header_map_value");
  });
});
