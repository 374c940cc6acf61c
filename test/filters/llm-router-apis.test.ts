import { describe, expect, it } from "vitest";
import { expectSameForEverySplit, type Stream, splits } from "../host/index.ts";
import "../host/matchers.ts";
import { chat, lengthOf, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** APIs that do not name their model in a JSON body, and what errors look like in each. */

const models = [
  { model: "gemini-2.5-pro", route: "pro" },
  { model: "gemini-*", route: "gemini", upstreamModel: "models of 2025/é" },
  { model: "acme/x", route: "acme" },
];
const config = { models };
const withBody = {
  models,
  targets: { images: { route: "images" }, long: { route: "long" } },
  rules: [
    { name: "images", match: { images: true }, targets: [{ target: "images" }] },
    { name: "long", match: { promptTokens: { atLeast: 100 }, stream: true }, targets: [{ target: "long" }] },
  ],
};

const path = (model: string, method = "generateContent") => `/v1beta/models/${model}:${method}`;
const gemini = (model: string, method?: string, extra: Record<string, string> = {}) =>
  chat({ ":path": path(model, method), ...extra });
const error = (stream: Stream) => (JSON.parse(stream.downstream.text) as { error: object }).error;

describe("Gemini", () => {
  it("is routed at its headers: nothing of the body is held or read", async () => {
    const gateway = await RouterHost.start(config);
    for (const flag of [true, false]) {
      const blind = flag ? gateway : await RouterHost.start(config, { flag });
      const stream = blind.router.stream();
      stream.requestHeaders(gemini("gemini-2.5-pro", "streamGenerateContent", { "content-length": "5" }));
      expect(stream).toContinue();
      expect(sent(stream)).toMatchObject({ route: "pro", model: "gemini-2.5-pro" });
      stream.requestBody("{", {});
      expect(stream.upstream.text).toBe("{");
      stream.requestBody("x}]}", { endOfStream: true });
      expect(stream.upstream.text).toBe("{x}]}");
      expect(stream.trace.map(({ name }) => name)).not.toContain("proxy_get_buffer_bytes");
    }
  });

  it.each([
    ["gemini-2.5-flash", "/v1beta/models/models%20of%202025%2F%C3%A9:generateContent"],
    ["gemini%2D3", "/v1beta/models/models%20of%202025%2F%C3%A9:generateContent"],
    ["acme/x", "/v1beta/models/acme/x:generateContent"],
    ["acme%2Fx", "/v1beta/models/acme%2Fx:generateContent"],
  ])("%s goes upstream as %s", async (model, expected) => {
    const gateway = await RouterHost.start(config);
    const stream = gateway.send("{}", gemini(model));
    expect(sent(stream)).toMatchObject({ path: expected, body: "{}", length: undefined });
    const query = gateway.send("{}", chat({ ":path": `${path(model)}?alt=sse&key=k` }));
    expect(sent(query).path).toBe(`${expected}?alt=sse&key=k`);
  });

  it.each([
    ["a name that is not known", path("claude"), 404, "model_not_found", "NOT_FOUND"],
    ["a name that is not well-formed", path("gemini-%zz"), 404, "model_not_found", "NOT_FOUND"],
    ["a name with a line break", path("gemini-%0a"), 404, "model_not_found", "NOT_FOUND"],
    ["a name that points elsewhere", path("gemini-/../x"), 404, "model_not_found", "NOT_FOUND"],
    ["a name of 257 bytes", path(`gemini-${"x".repeat(250)}`), 404, "model_not_found", "NOT_FOUND"],
    ["no name", path(""), 400, "model_required", "INVALID_ARGUMENT"],
    ["no models", "/v1beta:generateContent", 400, "model_required", "INVALID_ARGUMENT"],
  ])("refuses %s in its own shape", async (_name, target, status, code, word) => {
    for (const one of [config, withBody]) {
      const gateway = await RouterHost.start(one);
      const stream = gateway.send("{}", chat({ ":path": target }));
      expect(stream).toHaveSentLocalResponse(status);
      expect(refusalOf(stream)).toBe(code);
      expect(error(stream)).toEqual({ code: status, message: expect.any(String), status: word });
    }
  });

  it("is read when a rule asks for its body: text, images, and the stream by its method", async () => {
    const gateway = await RouterHost.start(withBody);
    const body = (part: object) => JSON.stringify({ contents: [{ parts: [part] }], model: "x", stream: false });
    const route = (part: object, method?: string) =>
      sent(gateway.send(body(part), gemini("gemini-2.5-pro", method))).route;
    expect(route({ inlineData: { mimeType: "image/png", data: "AA" } })).toBe("images");
    expect(route({ text: "x".repeat(400) }, "streamGenerateContent")).toBe("long");
    expect(route({ text: "x".repeat(396) }, "streamGenerateContent")).toBe("pro");
    expect(route({ text: "x".repeat(400) })).toBe("pro");
    const refused = gateway.send("{", gemini("gemini-2.5-pro"));
    expect(refused).toHaveSentLocalResponse(400);
    expect(error(refused)).toMatchObject({ code: 400, status: "INVALID_ARGUMENT" });
  });

  it("does not take a model from the body, however many it names", async () => {
    const gateway = await RouterHost.start(withBody);
    const stream = gateway.send('{"model":"a","model":"b","contents":[]}', gemini("gemini-2.5-pro"));
    expect(sent(stream)).toMatchObject({ route: "pro", model: "gemini-2.5-pro", path: path("gemini-2.5-pro") });
  });

  it("follows the configured methods", async () => {
    const gateway = await RouterHost.start({ ...config, paths: [":streamGenerateContent"] });
    const other = gateway.send("{}", gemini("unknown"));
    expect(sent(other)).toMatchObject({ route: undefined, path: path("unknown") });
    expect(refusalOf(gateway.send("{}", gemini("unknown", "streamGenerateContent")))).toBe("model_not_found");
    expect(sent(gateway.send('{"model":"x"}')).route).toBeUndefined();
  });

  it("keeps a model's name that a prefix reaches into", async () => {
    const pathPrefix = { from: "/v1beta/models/a", to: "/x" };
    const gateway = await RouterHost.start({
      targets: { g: { route: "g", upstreamModel: "m", pathPrefix } },
      rules: [{ name: "r", targets: [{ target: "g" }] }],
    });
    const pathOf = (model: string) => sent(gateway.attempt(gateway.send("{}", gemini(model)))).path;
    expect([pathOf("a/b"), pathOf("ab"), pathOf("b")]).toEqual(["/x/b:generateContent", path("m"), path("m")]);
  });

  it("gets prefix, model and query right in one go, and loses the client's key", async () => {
    const gateway = await RouterHost.start({
      targets: {
        g: {
          route: "g",
          upstreamModel: "b c",
          pathPrefix: { from: "/gemini", to: "/" },
          credential: { header: "x-goog-api-key", value: "ours" },
        },
      },
      rules: [{ name: "r", targets: [{ target: "g" }] }],
    });
    const ask = (query: string) => {
      const headers = chat({ ":path": `/gemini${path("a")}${query}`, "x-goog-api-key": "theirs" });
      const attempt = gateway.attempt(gateway.send("{}", headers));
      expect(attempt.upstream.headers?.all("x-goog-api-key")).toEqual(["ours"]);
      return sent(attempt).path;
    };
    const expected = path("b%20c");
    for (const query of ["", "?key=k", "?key=", "?key=k&key=l", "?key"]) expect(ask(query)).toBe(expected);
    expect(ask("?key=k&alt=sse")).toBe(`${expected}?alt=sse`);
    expect(ask("?alt=sse&key=k&x=key=1")).toBe(`${expected}?alt=sse&x=key=1`);
    for (const query of [
      "?%6bey=k",
      "?k%65%79=k&key=l",
      "?access_token=t&api_key=k",
      "?api-key=k&subscription-key=k",
    ]) {
      expect(ask(query)).toBe(expected);
    }
    // Everything else stays byte for byte, however odd it is.
    for (const query of ["?apikey=k&keys=1&KEY=2", "?&&", "?", "?%6b%", "?ke%7", "?%zzkey=k"]) {
      expect(ask(query)).toBe(`${expected}${query}`);
    }
    expect(ask("?&key=k&")).toBe(`${expected}?&`);
  });
});

describe("a form", () => {
  const type = 'multipart/form-data; charset=utf-8; boundary="b o"';
  const field = (name: string, value: string) =>
    `--b o\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const form = (...fields: string[]) => `${fields.join("")}--b o--\r\n`;
  const send = (gateway: RouterHost, body: string | Buffer, extra: Record<string, string> = {}) =>
    gateway.send(
      body,
      chat({ ":path": "/v1/audio/transcriptions", "content-type": type, "content-length": lengthOf(body), ...extra }),
    );

  it("names its model in a field, which is renamed in place", async () => {
    const gateway = await RouterHost.start({
      models: [{ model: "whisper-*", route: "w", upstreamModel: 'large-v3 "é"' }],
    });
    const body = (model: string) =>
      form(field("file", "\u0000--b \r\n--b".repeat(20)), field("model", model), field("language", "de"));
    for (const { name, chunks } of splits(body("whisper-1"), { everyCut: false })) {
      const stream = gateway.router.exchange({
        headers: chat({ ":path": "/v1/images/edits", "content-type": type, "content-length": "1" }),
        body: chunks,
      });
      const expected = body('large-v3 "é"');
      expect([name, sent(stream)]).toMatchObject([
        name,
        { route: "w", model: "whisper-1", body: expected, length: lengthOf(expected) },
      ]);
    }
  });

  it("may carry a file of many windows in front of the field or behind it", async () => {
    const gateway = await RouterHost.start({ models: [{ model: "a", route: "r", upstreamModel: "bcd" }] });
    for (const size of [65_400, 65_536, 300_000]) {
      const file = field("file", "\r\n--x".repeat(size / 5));
      for (const fields of [
        [file, field("model", "a")],
        [field("model", "a"), file],
      ]) {
        const body = form(...fields);
        const expected = body.replace("\r\n\r\na\r\n", "\r\n\r\nbcd\r\n");
        expect(sent(send(gateway, body)).body === expected).toBe(true);
      }
    }
  });

  it.each<[name: string, body: string | Buffer, status: number, code: string]>([
    ["no model", form(field("language", "de")), 400, "model_required"],
    ["an empty model", form(field("model", "")), 400, "model_required"],
    ["two models", form(field("model", "a"), field("model", "a")), 400, "ambiguous_model"],
    ["an unknown model", form(field("model", "b")), 404, "model_not_found"],
    ["a model that is not UTF-8", Buffer.from(form(field("model", "a\u00ff")), "latin1"), 404, "model_not_found"],
    ["no end", field("model", "a"), 400, "invalid_form"],
    ["JSON in it", '{"model":"a"}', 400, "invalid_form"],
  ])("with %s is refused", async (_name, body, status, code) => {
    const gateway = await RouterHost.start({ models: [{ model: "a", route: "r" }] });
    const stream = send(gateway, body);
    expect([refusalOf(stream), stream.localReply?.status]).toEqual([code, status]);
    expect(error(stream)).toMatchObject({ code });
  });

  it("without a boundary is refused, and a form on any LLM path is one", async () => {
    const gateway = await RouterHost.start({ models: [{ model: "a", route: "r" }] });
    expect(refusalOf(send(gateway, form(field("model", "a")), { "content-type": "multipart/form-data" }))).toBe(
      "invalid_form",
    );
    expect(sent(send(gateway, form(field("model", "a")), { ":path": "/v1/chat/completions" })).route).toBe("r");
    expect(refusalOf(send(gateway, form(field("model", "a")), { "content-type": "application/json" }))).toBe(
      "invalid_json",
    );
  });

  it("among several content-types is refused, whoever stands first", async () => {
    const gateway = await RouterHost.start({ models: [{ model: "*", route: "r" }], onMalformedBody: { route: "d" } });
    const json = '{"model":"a"}';
    const types = [`application/json, ${type}`, `text/plain,a/b,  ${type.toUpperCase()}`];
    for (const one of types)
      expect(refusalOf(send(gateway, json, { "content-type": one }))).toBe("ambiguous_content_type");
    const twice = chat({ "content-type": "application/json" });
    expect(refusalOf(gateway.send(json, [...twice, ["content-type", type]]))).toBe("ambiguous_content_type");
    for (const one of ["application/json, text/plain", 'application/json; a=",b"'])
      expect(sent(send(gateway, json, { "content-type": one })).route).toBe("r");
    // The form is the first, but its boundary is none.
    expect(sent(send(gateway, json, { "content-type": `${type}, application/json` })).route).toBe("d");
  });

  it("takes no name for an upstream that it has no field for", async () => {
    const gateway = await RouterHost.start({
      models: [{ model: "a", route: "r" }],
      onMissingModel: { route: "d", upstreamModel: "b" },
    });
    const body = form(field("language", "de"));
    expect(sent(send(gateway, body))).toMatchObject({ route: "d", body });
  });
});

describe("other paths", () => {
  const all = [
    "/chat/completions",
    "/completions",
    "/responses",
    "/embeddings",
    "/messages",
    "/messages/count_tokens",
    "/audio/transcriptions",
    "/audio/translations",
    "/audio/speech",
    "/images/generations",
    "/images/edits",
    "/images/variations",
  ];
  it.each(all)("%s names its model in a JSON body", async (suffix) => {
    const gateway = await RouterHost.start({ models: [{ model: "a", route: "r", upstreamModel: "b" }] });
    expectSameForEverySplit('{"input":"x","model":"a"}', (body) => {
      const stream = gateway.router.exchange({ headers: chat({ ":path": `/v1${suffix}` }), body });
      expect(sent(stream)).toMatchObject({ route: "r", body: '{"input":"x","model":"b"}' });
      return sent(stream);
    });
    const shape = suffix.startsWith("/messages") ? { type: "not_found_error" } : { code: "model_not_found" };
    const refused = gateway.send('{"model":"x"}', chat({ ":path": `/v1${suffix}` }));
    expect(error(refused)).toMatchObject(shape);
  });

  it.each(["/", "//", "/?a=b", `${"/".repeat(3_000)}?a=/x/`])("is the same with %j behind it", async (behind) => {
    const gateway = await RouterHost.start({
      paths: ["/chat/completions", "/own/"],
      models: [{ model: "a", route: "r" }],
    });
    for (const path of [`/v1/chat/completions${behind}`, `/v1/own/${behind}`]) {
      expect(sent(gateway.send('{"model":"a"}', chat({ ":path": path })))).toMatchObject({ route: "r", path });
    }
    expect(sent(gateway.send('{"model":"a"}', chat({ ":path": `/v1/other${behind}` }))).route).toBeUndefined();
  });

  it.each([
    "/v1/models",
    "/v1/files",
    "/v1/chat/completions/x",
    "/v1/messages/batches",
    "/v1/audio",
    "/v1beta/models/x:countTokens",
  ])("%s is none of ours", async (target) => {
    const gateway = await RouterHost.start(config);
    const stream = gateway.send("{not json", chat({ ":path": target, "accept-encoding": "gzip" }));
    expect(stream.upstream.text).toBe("{not json");
    expect(stream.upstream.headers?.get("accept-encoding")).toBe("gzip");
    expect(sent(stream).route).toBeUndefined();
  });
});
