import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { expectSameForEverySplit, type Plugin, ProxyWasmHost, Status, type Stream } from "../host/index.ts";
import "../host/matchers.ts";

/** The whole filter on the test host; what only Envoy can show is in test/envoy. */

const wasm = "build/filters/llm-router.wasm";

const base = {
  models: [
    { model: "gpt-4o", route: "gpt4", upstreamModel: "gpt-4o-2024-08-06" },
    { model: "llama-*", route: "llama" },
    { model: "llama-3-*", route: "llama3", upstreamModel: 'a"\\b' },
  ],
};

const chat = (extra: Record<string, string> = {}): [string, string][] => [
  [":method", "POST"],
  [":path", extra[":path"] ?? "/v1/chat/completions"],
  [":authority", "gateway"],
  ["content-type", "application/json"],
  ...Object.entries(extra).filter(([name]) => name !== ":path"),
];

let host: ProxyWasmHost;

async function router(
  config: object = base,
  options: { flag?: boolean; bufferLimitBytes?: number } = {},
): Promise<Plugin> {
  host = await ProxyWasmHost.load(wasm, { workers: 1, bufferLimitBytes: options.bufferLimitBytes ?? 32 << 20 });
  return host.plugin({
    name: "llm-router",
    rootId: "llm-router",
    config,
    allowOnHeadersStopIteration: options.flag ?? true,
  });
}

function send(
  plugin: Plugin,
  body: string | Buffer,
  headers = chat({ "content-length": String(Buffer.byteLength(body)) }),
): Stream {
  const stream = plugin.stream();
  stream.requestHeaders(headers);
  stream.requestBody(body, {}).requestBody("", { endOfStream: true });
  return stream;
}

function upstream(stream: Stream): {
  route: string | undefined;
  model: string | undefined;
  length: string | undefined;
  body: string;
} {
  const headers = stream.upstream.headers;
  return {
    route: headers?.get("x-llm-route"),
    model: headers?.get("x-llm-model"),
    length: headers?.get("content-length"),
    body: stream.upstream.text,
  };
}

describe("routing", () => {
  let plugin: Plugin;
  beforeEach(async () => {
    plugin = await router();
  });

  it("takes the exact name, then the longest prefix", () => {
    expect(upstream(send(plugin, '{"model":"llama-2-7b"}'))).toMatchObject({ route: "llama", model: "llama-2-7b" });
    expect(upstream(send(plugin, '{"model":"llama-3-70b"}'))).toMatchObject({
      route: "llama3",
      body: '{"model":"a\\"\\\\b"}',
    });
    expect(send(plugin, '{"model":"llam"}')).toHaveSentLocalResponse(404, /model_not_found/);
    expect(send(plugin, '{"model":"gpt-4o-"}')).toHaveSentLocalResponse(404, /model_not_found/);
  });

  it("takes * last of all", async () => {
    plugin = await router({ models: [{ model: "*", route: "rest" }, ...base.models] });
    expect(upstream(send(plugin, '{"model":"x"}'))).toMatchObject({ route: "rest", model: "x", body: '{"model":"x"}' });
    expect(upstream(send(plugin, '{"model":"gpt-4o"}')).route).toBe("gpt4");
  });

  it("rewrites the model in the body and the content-length, and nothing else", () => {
    const stream = send(plugin, '{"messages":[{"model":"gpt-4o"}], "model" : "gpt-4o" ,"n":1}');
    expect(upstream(stream)).toEqual({
      route: "gpt4",
      model: "gpt-4o",
      length: "71",
      body: '{"messages":[{"model":"gpt-4o"}], "model" : "gpt-4o-2024-08-06" ,"n":1}',
    });
  });

  it("leaves a body alone that names the upstream's model already", async () => {
    plugin = await router({ models: [{ model: "*", route: "r", upstreamModel: "m" }] });
    const stream = send(plugin, '{"model":"\\u006d"}');
    expect(upstream(stream).body).toBe('{"model":"\\u006d"}');
    expect(stream.trace.map((call) => call.name)).not.toContain("proxy_set_buffer_bytes");
  });

  it("sets no content-length on a chunked body", () => {
    expect(upstream(send(plugin, '{"model":"gpt-4o"}', chat())).length).toBeUndefined();
  });

  it("clears the route cache by its header writes", () => {
    expect(send(plugin, '{"model":"gpt-4o"}').routeClears).toBeGreaterThan(0);
  });

  it.each([
    "/v1/chat/completions?x=/y",
    "/openai/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/messages",
  ])("reads %s", (path) => {
    expect(upstream(send(plugin, '{"model":"gpt-4o"}', chat({ ":path": path }))).route).toBe("gpt4");
  });

  it.each([
    [
      "another path",
      [
        [":method", "POST"],
        [":path", "/v1/files?x=/chat/completions"],
        [":authority", "a"],
      ],
    ],
    [
      "another method",
      [
        [":method", "PUT"],
        [":path", "/v1/chat/completions"],
        [":authority", "a"],
      ],
    ],
  ] as [string, [string, string][]][])("passes %s without a look at the body", (_name, headers) => {
    const stream = plugin.stream();
    stream.requestHeaders(headers);
    expect(stream).toContinue();
    stream.requestBody("\u0000{not json", { endOfStream: true });
    expect(stream.upstream.text).toBe("\u0000{not json");
    expect(stream.trace.map((call) => call.name)).toEqual(["proxy_get_header_map_pairs"]);
  });

  it("removes reserved headers of the client everywhere, repeated ones too", () => {
    const spoofed: [string, string][] = [
      ["x-llm-route", "evil"],
      ["x-llm-route", "worse"],
      ["x-llm-anything", "1"],
      ["x-gateway-destination-endpoint", "10.0.0.1:1"],
      ["x-llmx", "kept"],
    ];
    const stream = plugin.stream();
    stream.requestHeaders([[":method", "GET"], [":path", "/v1/models"], [":authority", "a"], ...spoofed], {
      endOfStream: true,
    });
    const kept = stream.upstream.headers?.toObject();
    expect(Object.keys(kept ?? {}).filter((name) => name.startsWith("x-"))).toEqual(["x-llmx"]);
    const routed = send(plugin, '{"model":"gpt-4o"}', [...chat(), ...spoofed]);
    expect(routed).toHaveHeader("request", "x-llm-route", "gpt4");
    expect(routed.upstream.headers?.get("x-gateway-destination-endpoint")).toBeUndefined();
  });

  it("removes them behind any number of other headers, and when the host cannot list them", () => {
    const many = Array.from({ length: 2000 }, (_, i): [string, string] => [`h${i}`, "x"]);
    const crowded = send(plugin, '{"model":"gpt-4o"}', [
      ...chat(),
      ...many,
      ["x-llm-route", "evil"],
      ["x-llm-other", "1"],
    ]);
    expect(upstream(crowded).route).toBe("gpt4");
    expect(crowded.upstream.headers?.get("x-llm-other")).toBeUndefined();

    host.faults.inject({ call: "proxy_get_header_map_pairs", status: Status.InternalFailure, nth: 1, times: 1 });
    const spoofed: [string, string][] = [
      ["x-llm-route", "evil"],
      ["x-llm-model", "evil"],
      ["x-gateway-destination-endpoint", "10.0.0.1:1"],
    ];
    const blind = send(plugin, '{"model":"gpt-4o"}', [...chat(), ...spoofed]);
    for (const [name] of spoofed) expect(blind.upstream.headers?.get(name)).toBeUndefined();
    expect(blind.upstream.text).toBe('{"model":"gpt-4o"}');
  });

  it("decides on trailers when they end the request", () => {
    const stream = plugin.stream();
    stream
      .requestHeaders(chat())
      .requestBody('{"model":"gpt-4o"}', {})
      .requestTrailers([["x-t", "1"]]);
    expect(upstream(stream)).toMatchObject({ route: "gpt4", body: '{"model":"gpt-4o-2024-08-06"}' });
  });
});

describe("refusals", () => {
  const refusals: [name: string, body: string, headers: Record<string, string>, status: number, code: string][] = [
    ["no model", '{"messages":[]}', {}, 400, "model_required"],
    ["a model that is no string", '{"model":1}', {}, 400, "model_required"],
    ["an empty model", '{"model":""}', {}, 400, "model_required"],
    ["an unknown model", '{"model":"gpt-5"}', {}, 404, "model_not_found"],
    ["a model with a line break", '{"model":"llama-\\r\\nx-evil: 1"}', {}, 404, "model_not_found"],
    ["a model of 257 bytes", `{"model":"llama-${"x".repeat(251)}"}`, {}, 404, "model_not_found"],
    ["half a surrogate", '{"model":"llama-\\ud800"}', {}, 404, "model_not_found"],
    ["a model named twice", '{"model":"gpt-4o","model":"llama-1"}', {}, 400, "ambiguous_model"],
    ["a model named twice, once in disguise", '{"model":"gpt-4o","\\u006dodel":"llama-1"}', {}, 400, "ambiguous_model"],
    ["a cut document", '{"model":"gpt-4o"', {}, 400, "invalid_json"],
    ["text behind the document", '{"model":"gpt-4o"}{}', {}, 400, "invalid_json"],
    ["a list", '[{"model":"gpt-4o"}]', {}, 400, "invalid_json"],
    ["nesting without end", `{"a":${"[".repeat(100_000)}`, {}, 400, "invalid_json"],
    ["a compressed body", "\u001f\u008b", { "content-encoding": "gzip" }, 415, "unsupported_encoding"],
    ["a declared length over the limit", "{}", { "content-length": "10485761" }, 413, "body_too_large"],
    ["an absurd declared length", "{}", { "content-length": "9".repeat(30) }, 413, "body_too_large"],
  ];
  it.each(refusals)("answers %s", async (_name, body, headers, status, code) => {
    const plugin = await router();
    for (const path of ["/v1/chat/completions", "/v1/messages"]) {
      const stream = send(plugin, body, chat({ ...headers, ":path": path }));
      expect(stream).toHaveSentLocalResponse(status);
      expect(stream.downstream.headers?.get("content-type")).toBe("application/json");
      const answer = JSON.parse(stream.downstream.text) as { type?: string; error: Record<string, unknown> };
      if (path === "/v1/messages") {
        expect(answer).toEqual({ type: "error", error: { type: expect.any(String), message: expect.any(String) } });
      } else {
        expect(answer).toEqual({
          error: {
            message: expect.any(String),
            type: "invalid_request_error",
            param: code.includes("model") ? "model" : null,
            code,
          },
        });
      }
      expect(stream.upstream.headers).toBeUndefined();
    }
  });

  it("refuses a chunked body as soon as it is over the limit", async () => {
    const plugin = await router({ ...base, maxBodyBytes: 100 });
    const stream = plugin.stream();
    stream.requestHeaders(chat()).requestBody(Buffer.alloc(101, 0x20), {});
    expect(stream).toHaveSentLocalResponse(413, /body_too_large/);
  });

  it("takes a body of exactly the limit", async () => {
    const body = `{"model":"gpt-4o"${" ".repeat(82)}}`;
    const plugin = await router({ ...base, maxBodyBytes: body.length });
    expect(upstream(send(plugin, body)).route).toBe("gpt4");
  });

  it("shows the model that was asked for, escaped", async () => {
    const plugin = await router();
    const stream = send(plugin, '{"model":"a\\"</script>é\\u0007"}');
    expect(JSON.parse(stream.downstream.text)).toMatchObject({
      error: { message: "No route is configured for this model: 'a\"</script>\ufffd\ufffd\ufffd'" },
    });
  });

  it("answers a request without a body", async () => {
    const plugin = await router();
    const stream = plugin.stream();
    stream.requestHeaders(chat(), { endOfStream: true });
    expect(stream).toHaveSentLocalResponse(400, /invalid_json/);
  });
});

describe("configured defaults", () => {
  const fallback = { route: "spare", upstreamModel: "small" };
  const defaults: [field: string, body: string, expected: string][] = [
    ["onMissingModel", '{"messages":[]}', '{"model":"small","messages":[]}'],
    ["onMissingModel", "{ }", '{"model":"small" }'],
    ["onMissingModel", '{"model":null}', '{"model":"small"}'],
    ["onUnknownModel", '{"model":"gpt-5"}', '{"model":"small"}'],
    ["onMalformedBody", '{"model":', '{"model":'],
  ];
  it.each(defaults)("%s routes %s", async (field, body, expected) => {
    const plugin = await router({ ...base, [field]: fallback });
    expect(upstream(send(plugin, body))).toMatchObject({
      route: "spare",
      body: expected,
      length: String(expected.length),
    });
  });

  it("onBodyTooLarge streams the body through", async () => {
    const plugin = await router({ ...base, maxBodyBytes: 10, onBodyTooLarge: fallback });
    const body = '{"model":"gpt-4o"}';
    expect(upstream(send(plugin, body, chat()))).toMatchObject({ route: "spare", body });
    expect(upstream(send(plugin, body))).toMatchObject({ route: "spare", body });
  });
});

describe("a model named twice, when the last wins", () => {
  it.each([
    ['{"model":"x","model":"gpt-4o"}', "gpt-4o"],
    ['{"model":"gpt-4o","\\u006dodel":"llama-1","n":1}', "llama-1"],
  ])("takes the last of %s", async (body, last) => {
    const plugin = await router({ ...base, duplicateModel: "lastWins" });
    expect(upstream(send(plugin, body)).model).toBe(last);
  });

  it("still refuses what is no document", async () => {
    const plugin = await router({ ...base, duplicateModel: "lastWins" });
    expect(send(plugin, '{"model":"a","model":"b"')).toHaveSentLocalResponse(400, /invalid_json/);
  });
});

describe("bodies", () => {
  const filler = (bytes: number) =>
    JSON.stringify({ role: "user", content: 'say "hi"\n'.repeat(Math.ceil(bytes / 11)) });
  const sizes = [1, 4 << 10, 64 << 10, 65 << 10, 200 << 10, 1 << 20, 10 << 20];

  it.each(sizes)("rewrites model in front of and behind %i bytes", async (bytes) => {
    const plugin = await router({ ...base, maxBodyBytes: 32 << 20 });
    for (const body of [
      `{"model":"gpt-4o","messages":[${filler(bytes)}]}`,
      `{"messages":[${filler(bytes)}],"model":"gpt-4o","n":1}`,
    ]) {
      const expected = body.replace('"model":"gpt-4o"', '"model":"gpt-4o-2024-08-06"');
      const sent = upstream(send(plugin, body));
      expect(sent.body === expected).toBe(true);
      expect(sent.length).toBe(String(expected.length));
    }
  });

  it("rewrites a model that lies across a window border", async () => {
    const plugin = await router();
    for (let shift = -12; shift <= 12; shift++) {
      const pad = " ".repeat((64 << 10) - 20 + shift);
      const body = `{"a":1,${pad}"model":"gpt-4o","b":2}`;
      expect(upstream(send(plugin, body)).body === body.replace("gpt-4o", "gpt-4o-2024-08-06")).toBe(true);
    }
  });

  const pad = (bytes: number) => `"pad":"${"x".repeat(bytes)}"`;
  const large: [name: string, body: string, outcome: string][] = [
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
    // Bad grammar in the middle of a large body is left to the upstream: the one model that any parser can see is the one read.
    ["in a second document", `{${pad(200_000)}}{"model":"a"}`, "a"],
    ["behind one bracket too few", `{"x":[${pad(200_000).replace('"pad":', "")},"model":"a"}`, "a"],
    ["one bracket too many", `{${pad(200_000)},"model":"a"}}`, "invalid_json"],
  ];
  it.each(large)("over one window: model %s", async (_name, body, outcome) => {
    const plugin = await router({ models: [{ model: "*", route: "any" }] });
    const stream = send(plugin, body);
    const answer = stream.localReply === undefined ? "" : stream.downstream.text;
    expect(
      answer === "" ? upstream(stream).model : (JSON.parse(answer) as { error: { code: string } }).error.code,
    ).toBe(outcome);
  });

  it.each(large)("over one window, last model wins: model %s", async (_name, body, outcome) => {
    const plugin = await router({ models: [{ model: "*", route: "any" }], duplicateModel: "lastWins" });
    const stream = send(plugin, body);
    if (outcome !== "ambiguous_model") {
      const answer = stream.localReply === undefined ? "" : stream.downstream.text;
      const seen =
        answer === "" ? upstream(stream).model : (JSON.parse(answer) as { error: { code: string } }).error.code;
      expect(seen).toBe(outcome);
    } else {
      expect(upstream(stream).model).toBe((JSON.parse(body) as { model: string }).model);
    }
  });

  it("over one window, last model wins: does not read the middle when the end shows it", async () => {
    const plugin = await router({ models: [{ model: "*", route: "any" }], duplicateModel: "lastWins" });
    const stream = send(plugin, `{"messages":[${filler(1 << 20)}],"model":"a"}`);
    expect(upstream(stream).model).toBe("a");
    expect(stream.trace.filter((call) => call.name === "proxy_get_buffer_bytes").length).toBe(1);
  });

  it("over one window: agrees with JSON.parse on any object, wherever the windows end", async () => {
    const plugin = await router({ models: [{ model: "*", route: "any" }] });
    const member = fc.tuple(
      fc.constantFrom("model", "tools", "messages", "object"),
      fc.constantFrom<unknown>("gpt", "model", { model: "nested" }, ["model", { model: 1 }], 'say {"model":"x"}', 7),
      fc.constantFrom(0, 0, 40_000, 65_500, 65_520, 65_536, 131_060),
      fc.nat(30),
    );
    fc.assert(
      fc.property(fc.uniqueArray(member, { minLength: 1, maxLength: 4, selector: ([key]) => key }), (members) => {
        const body = `{${members.map(([key, value, gap, more]) => `${" ".repeat(gap + more)}${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
        const stream = send(plugin, body);
        const { model } = JSON.parse(body) as { model?: unknown };
        if (typeof model === "string") expect(upstream(stream).model).toBe(model);
        else expect(stream).toHaveSentLocalResponse(400, /model_required/);
      }),
      { numRuns: 300 },
    );
  });

  it("does the same however the body is cut", async () => {
    const plugin = await router();
    expectSameForEverySplit('{"messages":[{"content":"a\\"b"}],"model":"gpt-4o","x":"é"}', (chunks) => {
      const stream = plugin.exchange({ headers: chat(), body: chunks });
      return [stream.upstream.headers?.toObject(), stream.upstream.text, stream.downstream.text];
    });
  });
});

describe("usage", () => {
  const counts = () =>
    ["input", "output", "cached"].map((kind) => Number(host.metrics.get(`tokenmesh_llm_router_${kind}_tokens`)));

  function answer(plugin: Plugin, chunks: string[], end: "complete" | "abort" = "complete"): void {
    const stream = send(plugin, '{"model":"gpt-4o"}');
    stream.responseHeaders({ ":status": "200" });
    for (const chunk of chunks) stream.responseBody(chunk, {});
    if (end === "complete") stream.responseBody("", { endOfStream: true });
    else stream.end();
  }

  it("sums up what answers report, also of an aborted one", async () => {
    const plugin = await router();
    answer(plugin, [
      '{"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}',
    ]);
    answer(plugin, [
      'data: {"message":{"usage":{"input_tok',
      'ens":7,"output_tokens":1}}}\n\n',
      'data: {"usage":{"output_tokens":3}}\n\n',
    ]);
    answer(plugin, ['data: {"usage":{"prompt_tokens":100,"completion_tokens":2}}\n\n'], "abort");
    host.advance(500);
    expect(counts()).toEqual([117, 10, 4]);
  });

  it("does not count answers to other requests, nor refusals", async () => {
    const plugin = await router();
    const other = plugin.stream();
    other.requestHeaders(
      [
        [":method", "GET"],
        [":path", "/"],
        [":authority", "a"],
      ],
      { endOfStream: true },
    );
    other.responseHeaders({ ":status": "200" }).responseBody('{"usage":{"prompt_tokens":10}}', { endOfStream: true });
    host.advance(500);
    expect(counts()).toEqual([0, 0, 0]);
  });
});

describe("withheld bodies (allow_on_headers_stop_iteration missing)", () => {
  it("fails the hanging request within a second, counts it, and fails later ones at once", async () => {
    const plugin = await router(base, { flag: false });
    const first = plugin.stream();
    first.requestHeaders(chat()).requestBody('{"model":"gpt-4o"}', { endOfStream: true });
    expect(first).toPause();
    host.advance(1000);
    expect(first).toHaveSentLocalResponse(500, /body_unreadable/);
    const second = plugin.stream();
    second.requestHeaders(chat());
    expect(second).toHaveSentLocalResponse(500, /body_unreadable/);
    expect(Number(host.metrics.get("tokenmesh_llm_router_body_unreadable"))).toBe(2);
    const explanations = host.logs.filter((entry) => JSON.stringify(entry).includes("allow_on_headers_stop_iteration"));
    expect(explanations.length).toBe(1);
  });

  it("releases by policy instead, body untouched", async () => {
    const plugin = await router({ ...base, onBodyUnreadable: { route: "spare", upstreamModel: "x" } }, { flag: false });
    const stream = plugin.stream();
    stream.requestHeaders(chat()).requestBody('{"model":"gpt-4o"}', { endOfStream: true });
    host.advance(1000);
    expect(upstream(stream)).toMatchObject({ route: "spare", body: '{"model":"gpt-4o"}' });
  });

  it("never mistakes a slow client for a missing flag", async () => {
    const plugin = await router();
    const stream = plugin.stream();
    stream.requestHeaders(chat());
    host.advance(60_000);
    expect(stream).toPause();
    stream.requestBody('{"model":"gpt-4o"}', { endOfStream: true });
    expect(upstream(stream).route).toBe("gpt4");
  });

  it("waits for proof while a client of a mis-configured plugin sends nothing, and survives its leaving", async () => {
    const plugin = await router(base, { flag: false });
    const silent = plugin.stream();
    silent.requestHeaders(chat());
    const gone = plugin.stream();
    gone.requestHeaders(chat());
    host.advance(5000);
    expect(silent).toPause();
    gone.end();
    silent.requestBody("{", {});
    host.advance(1000);
    expect(silent).toHaveSentLocalResponse(500, /body_unreadable/);
  });
});

describe("configuration", () => {
  const wrong: [name: string, config: string | object, complaint: RegExp][] = [
    ["nothing", "", /models/],
    ["no JSON", "{", /not JSON/],
    ["a list", [], /must be an object/],
    ["no models", {}, /models: missing/],
    ["an unknown field", { ...base, model: 1 }, /model: unknown field/],
    ["a model twice", { models: [base.models[0], base.models[0]] }, /models\[1\]\.model: stands twice/],
    [
      "a wildcard inside",
      { models: [{ model: "a*b", route: "r" }] },
      /models\[0\]\.model: '\*' may stand only at the end/,
    ],
    ["no route", { models: [{ model: "a" }] }, /models\[0\]\.route: missing/],
    [
      "a route with a line break",
      { models: [{ model: "a", route: "r\n" }] },
      /models\[0\]\.route: must be visible ASCII/,
    ],
    ["a route header that clients may set", { ...base, routeHeader: "x-route" }, /routeHeader/],
    ["a body limit of nothing", { ...base, maxBodyBytes: 0 }, /maxBodyBytes/],
    ["a path without a slash", { ...base, paths: ["chat"] }, /paths\[0\]/],
    ["a fallback without a route", { ...base, onUnknownModel: {} }, /onUnknownModel\.route: missing/],
  ];
  it.each(wrong)("refuses %s and says why", async (_name, config, complaint) => {
    host = await ProxyWasmHost.load(wasm, { workers: 1 });
    expect(() => host.plugin({ name: "llm-router", rootId: "llm-router", config })).toThrow();
    expect(host.logs.map((entry) => JSON.stringify(entry)).join("\n")).toMatch(complaint);
  });

  it("keeps the old configuration when an update is wrong, and takes a right one for new requests only", async () => {
    const plugin = await router();
    expect(plugin.update({ models: [] }).accepted).toBe(false);
    expect(upstream(send(plugin, '{"model":"gpt-4o"}')).route).toBe("gpt4");
    const draining = plugin.stream();
    draining.requestHeaders(chat());
    expect(plugin.update({ models: [{ model: "gpt-4o", route: "new" }] }).accepted).toBe(true);
    expect(upstream(send(plugin, '{"model":"gpt-4o"}')).route).toBe("new");
    draining.requestBody('{"model":"gpt-4o"}', { endOfStream: true });
    expect(upstream(draining).route).toBe("gpt4");
  });
});

describe("cost and robustness", () => {
  const body4k = (model: string) =>
    JSON.stringify({ messages: [{ role: "user", content: "x".repeat(4000) }], model, temperature: 1, stream: false });
  const reply = '{"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}}';

  function chatOnce(plugin: Plugin, model = "gpt-4o"): Stream {
    const body = body4k(model);
    const stream = send(plugin, body);
    stream.responseHeaders({ ":status": "200" }).responseBody(reply, { endOfStream: true });
    return stream;
  }

  it("makes at most 8 hostcalls for a 4 KB chat, answer included", async () => {
    const plugin = await router();
    expect(chatOnce(plugin, "llama-2").trace.map((call) => call.name)).toEqual([
      "proxy_get_header_map_pairs",
      "proxy_get_buffer_bytes",
      "proxy_replace_header_map_value",
      "proxy_replace_header_map_value",
      "proxy_get_buffer_bytes",
    ]);
    const rewritten = chatOnce(plugin);
    expect(rewritten.upstream.text).toContain("gpt-4o-2024-08-06");
    expect(rewritten.hostcalls).toBeLessThanOrEqual(8);
  });

  it("keeps its memory flat", async () => {
    const plugin = await router();
    expect(host.workerVm()).toHaveFlatMemory(3000, () => chatOnce(plugin));
  });

  it("survives any hostcall that fails, at any point", async () => {
    const names = new Set<string>();
    const plugin = await router();
    for (const call of chatOnce(plugin).trace) names.add(call.name);
    names.add("proxy_send_local_response");
    for (const name of names) {
      for (let nth = 1; nth <= 3; nth++) {
        for (const status of [Status.NotFound, Status.BadArgument, Status.InternalFailure]) {
          const broken = await router();
          host.faults.inject({ call: name, status, nth, times: Number.POSITIVE_INFINITY });
          chatOnce(broken);
          send(broken, '{"model":"unknown"}');
          host.advance(1000);
          expect(host.stats.get("wasm.llm-router.vm_reload") ?? 0).toBe(0);
          expect(JSON.stringify(host.logs)).not.toMatch(/abort:/);
        }
      }
    }
  });

  it("survives a host that gets no memory for its bytes", async () => {
    for (let nth = 1; nth < 4; nth++) {
      const plugin = await router();
      host.faults.failAllocation = nth;
      chatOnce(plugin);
      expect(JSON.stringify(host.logs)).not.toMatch(/abort:/);
      expect(upstream(chatOnce(plugin)).route).toBe("gpt4");
    }
  });

  it("never lets a request reach the upstream by a model that JSON.parse does not see", async () => {
    const plugin = await router({ models: [{ model: "*", route: "any" }] });
    const pieces = fc.constantFrom(
      '"model"',
      ":",
      ",",
      "{",
      "}",
      "[",
      "]",
      '"a"',
      '"b"',
      '"\\u006dodel"',
      '"',
      "\\",
      "1",
      " ",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 24 }), (parts) => {
        const body = `{${parts.join("")}}`;
        const stream = send(plugin, body, chat());
        const routed = upstream(stream);
        let parsed: Record<string, unknown> | undefined;
        try {
          parsed = JSON.parse(body) as Record<string, unknown>;
        } catch {
          // Grammar inside of nested values is the upstream's to refuse.
          return;
        }
        if (routed.route !== undefined) expect(routed.model).toBe(parsed.model);
        else
          expect(
            typeof parsed.model === "string" && parsed.model !== "" ? (body.match(/model|u006dodel/g) ?? []).length : 2,
          ).toBeGreaterThan(1);
      }),
      { numRuns: 3000 },
    );
  });
});
