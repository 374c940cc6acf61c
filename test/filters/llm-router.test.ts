import { beforeEach, describe, expect, it } from "vitest";
import { Status } from "../host/index.ts";
import "../host/matchers.ts";
import { base, chat, RouterHost, sent } from "./router-driver.ts";

/** `models`, the error answers and the configured defaults, on the test host; what only Envoy can show is in test/envoy. */

describe("routing", () => {
  let gateway: RouterHost;
  beforeEach(async () => {
    gateway = await RouterHost.start(base);
  });

  it("takes the exact name, then the longest prefix", () => {
    expect(sent(gateway.send('{"model":"llama-2-7b"}'))).toMatchObject({ route: "llama", model: "llama-2-7b" });
    expect(sent(gateway.send('{"model":"llama-3-70b"}'))).toMatchObject({
      route: "llama3",
      body: '{"model":"a\\"\\\\b"}',
    });
    expect(gateway.send('{"model":"llam"}')).toHaveSentLocalResponse(404, /model_not_found/);
    expect(gateway.send('{"model":"gpt-4o-"}')).toHaveSentLocalResponse(404, /model_not_found/);
  });

  it("takes * last of all", async () => {
    gateway = await RouterHost.start({ models: [{ model: "*", route: "rest" }, ...base.models] });
    expect(sent(gateway.send('{"model":"x"}'))).toMatchObject({ route: "rest", model: "x", body: '{"model":"x"}' });
    expect(sent(gateway.send('{"model":"gpt-4o"}')).route).toBe("gpt4");
  });

  it("rewrites the model in the body and the content-length, and nothing else", () => {
    const stream = gateway.send('{"messages":[{"model":"gpt-4o"}], "model" : "gpt-4o" ,"n":1}');
    expect(sent(stream)).toEqual({
      cluster: undefined,
      host: "gateway",
      path: "/v1/chat/completions",
      route: "gpt4",
      model: "gpt-4o",
      length: "71",
      body: '{"messages":[{"model":"gpt-4o"}], "model" : "gpt-4o-2024-08-06" ,"n":1}',
    });
  });

  it("leaves a body alone that names the upstream's model already", async () => {
    gateway = await RouterHost.start({ models: [{ model: "*", route: "r", upstreamModel: "m" }] });
    const stream = gateway.send('{"model":"\\u006d"}');
    expect(sent(stream).body).toBe('{"model":"\\u006d"}');
    expect(stream.trace.map((call) => call.name)).not.toContain("proxy_set_buffer_bytes");
  });

  it("sets no content-length on a chunked body", () => {
    expect(sent(gateway.send('{"model":"gpt-4o"}', chat())).length).toBeUndefined();
  });

  it("clears the route cache by its header writes", () => {
    expect(gateway.send('{"model":"gpt-4o"}').routeClears).toBeGreaterThan(0);
  });

  it.each([
    "/v1/chat/completions?x=/y",
    "/openai/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/messages",
  ])("reads %s", (path) => {
    expect(sent(gateway.send('{"model":"gpt-4o"}', chat({ ":path": path }))).route).toBe("gpt4");
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
    const stream = gateway.router.stream();
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
    const stream = gateway.router.stream();
    stream.requestHeaders([[":method", "GET"], [":path", "/v1/models"], [":authority", "a"], ...spoofed], {
      endOfStream: true,
    });
    const kept = stream.upstream.headers?.toObject();
    expect(Object.keys(kept ?? {}).filter((name) => name.startsWith("x-"))).toEqual(["x-llmx"]);
    const routed = gateway.send('{"model":"gpt-4o"}', [...chat(), ...spoofed]);
    expect(routed).toHaveHeader("request", "x-llm-route", "gpt4");
    expect(routed.upstream.headers?.get("x-gateway-destination-endpoint")).toBeUndefined();
  });

  it("removes them behind any number of other headers, and when the host cannot list them", () => {
    const many = Array.from({ length: 2000 }, (_, i): [string, string] => [`h${i}`, "x"]);
    const crowded = gateway.send('{"model":"gpt-4o"}', [
      ...chat(),
      ...many,
      ["x-llm-route", "evil"],
      ["x-llm-other", "1"],
    ]);
    expect(sent(crowded).route).toBe("gpt4");
    expect(crowded.upstream.headers?.get("x-llm-other")).toBeUndefined();

    gateway.host.faults.inject({
      call: "proxy_get_header_map_pairs",
      status: Status.InternalFailure,
      nth: 1,
      times: 1,
    });
    const spoofed: [string, string][] = [
      ["x-llm-route", "evil"],
      ["x-llm-model", "evil"],
      ["x-llm-cluster", "evil"],
      ["x-gateway-destination-endpoint", "10.0.0.1:1"],
    ];
    const blind = gateway.send('{"model":"gpt-4o"}', [...chat(), ...spoofed]);
    for (const [name] of spoofed) expect(blind.upstream.headers?.get(name)).toBeUndefined();
    expect(blind.upstream.text).toBe('{"model":"gpt-4o"}');
  });

  it("decides on trailers when they end the request", () => {
    const stream = gateway.router.stream();
    stream
      .requestHeaders(chat())
      .requestBody('{"model":"gpt-4o"}', {})
      .requestTrailers([["x-t", "1"]]);
    expect(sent(stream)).toMatchObject({ route: "gpt4", body: '{"model":"gpt-4o-2024-08-06"}' });
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
    const gateway = await RouterHost.start(base);
    for (const path of ["/v1/chat/completions", "/v1/messages"]) {
      const stream = gateway.send(body, chat({ ...headers, ":path": path }));
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
    const gateway = await RouterHost.start({ ...base, maxBodyBytes: 100 });
    const stream = gateway.router.stream();
    stream.requestHeaders(chat()).requestBody(Buffer.alloc(101, 0x20), {});
    expect(stream).toHaveSentLocalResponse(413, /body_too_large/);
  });

  it("takes a body of exactly the limit", async () => {
    const body = `{"model":"gpt-4o"${" ".repeat(82)}}`;
    const gateway = await RouterHost.start({ ...base, maxBodyBytes: body.length });
    expect(sent(gateway.send(body)).route).toBe("gpt4");
  });

  it("shows the model that was asked for, escaped", async () => {
    const gateway = await RouterHost.start(base);
    const stream = gateway.send('{"model":"a\\"</script>é\\u0007"}');
    expect(JSON.parse(stream.downstream.text)).toMatchObject({
      error: { message: "No route is configured for this model: 'a\"</script>\ufffd\ufffd\ufffd'" },
    });
  });

  it("answers a request without a body", async () => {
    const gateway = await RouterHost.start(base);
    const stream = gateway.router.stream();
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
    const gateway = await RouterHost.start({ ...base, [field]: fallback });
    expect(sent(gateway.send(body))).toMatchObject({
      route: "spare",
      model: undefined,
      body: expected,
      length: String(expected.length),
    });
  });

  it("show the upstream no model that is none: it might not be fit for a header", async () => {
    const gateway = await RouterHost.start({ ...base, onUnknownModel: { route: "spare" } });
    for (const model of ["gpt-4o\\r\\nx-evil: 1", "llama-\\ud800", `llama-${"x".repeat(300)}`]) {
      const stream = gateway.send(`{"model":"${model}"}`);
      expect(sent(stream)).toMatchObject({ route: "spare", model: undefined });
    }
  });

  it("onBodyTooLarge streams the body through", async () => {
    const gateway = await RouterHost.start({ ...base, maxBodyBytes: 10, onBodyTooLarge: fallback });
    const body = '{"model":"gpt-4o"}';
    expect(sent(gateway.send(body, chat()))).toMatchObject({ route: "spare", body });
    expect(sent(gateway.send(body))).toMatchObject({ route: "spare", body });
  });
});

describe("a model named twice, when the last wins", () => {
  it.each([
    ['{"model":"x","model":"gpt-4o"}', "gpt-4o"],
    ['{"model":"gpt-4o","\\u006dodel":"llama-1","n":1}', "llama-1"],
  ])("takes the last of %s", async (body, last) => {
    const gateway = await RouterHost.start({ ...base, duplicateModel: "lastWins" });
    expect(sent(gateway.send(body)).model).toBe(last);
  });

  it("still refuses what is no document", async () => {
    const gateway = await RouterHost.start({ ...base, duplicateModel: "lastWins" });
    expect(gateway.send('{"model":"a","model":"b"')).toHaveSentLocalResponse(400, /invalid_json/);
  });
});
