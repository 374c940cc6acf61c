/** Fallback for every API, wherever it names the model; and targets with an own host, path or key that have no fallback at all. */
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Failure, Replica } from "../../envoy/replica/index.ts";
import { type FallbackGateway, POOLS, startFallback } from "./fallback-gateway.ts";
import { http1, http2, json, type RawAnswer } from "./http-client.ts";

const MIB = 1024 * 1024;
const KEY = "secret-of-the-client";
/** A name that a path must escape, that JSON must escape, and that a form field carries as it is. */
const ODD = 'vendor/odd "näme" 1%';
const BOUNDARY = "----boundary";
const BIG = "x".repeat(MIB);

interface Call {
  readonly path: (model: string) => string;
  readonly body: (model: string) => string;
  readonly type?: string;
}

const inJson = (rest: string) => (model: string) => `{${rest},"model":${JSON.stringify(model)}}`;
const at = (path: string) => () => path;
const chat = '"messages":[{"role":"user","content":"hello"}]';

function form(model: string): string {
  const field = (name: string, value: string, more = ""): string =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
  const file = `; filename="model.wav"\r\nContent-Type: audio/wav`;
  return `${field("file", BIG, file)}${field("model", model)}${field("language", "en")}--${BOUNDARY}--\r\n`;
}

const CALLS: Readonly<Record<string, Call>> = {
  "chat completions": { path: at("/v1/chat/completions"), body: inJson(chat) },
  "chat completions, streamed": { path: at("/v1/chat/completions"), body: inJson(`${chat},"stream":true`) },
  completions: { path: at("/v1/completions"), body: inJson(`"prompt":"${BIG}"`) },
  responses: { path: at("/v1/responses"), body: inJson('"input":"hello","stream":true') },
  embeddings: { path: at("/v1/embeddings"), body: inJson('"input":["hello"]') },
  messages: { path: at("/v1/messages"), body: inJson(`"max_tokens":20,${chat}`) },
  "messages, streamed": { path: at("/v1/messages"), body: inJson(`"max_tokens":20,"stream":true,${chat}`) },
  count_tokens: { path: at("/v1/messages/count_tokens"), body: inJson(chat) },
  generateContent: {
    path: (model) => `/v1beta/models/${encodeURIComponent(model)}:generateContent`,
    body: at('{"contents":[{"parts":[{"text":"hello","model":"m"}]}]}'),
  },
  streamGenerateContent: {
    path: (model) => `/v1beta/models/${encodeURIComponent(model)}:streamGenerateContent?alt=sse`,
    body: at(`{"contents":[{"parts":[{"text":"${BIG}"}]}],"model":"models/m"}`),
  },
  "a form with a file": {
    path: at("/v1/audio/transcriptions"),
    body: form,
    type: `multipart/form-data; boundary=${BOUNDARY}`,
  },
  speech: { path: at("/v1/audio/speech"), body: inJson('"input":"hello","voice":"alloy"') },
  images: { path: at("/v1/images/generations"), body: inJson('"prompt":"a cat"') },
};

const MODELS = { a: ODD, b: "b", c: "m" };
type Name = keyof typeof MODELS;
const NAMES = Object.keys(MODELS) as Name[];

describe.each(POOLS)("Envoy $version, $kind", ({ version, kind }) => {
  let gateway: FallbackGateway;

  beforeAll(async () => {
    gateway = await startFallback({
      version,
      kind,
      providers: {
        a: {
          models: [ODD],
          target: { upstreamModel: ODD, credential: { header: "x-goog-api-key", value: "key-of-a" } },
        },
        b: { models: ["b"], target: { upstreamModel: "b", credential: { prefix: "Token ", value: "key-of-b" } } },
        c: { models: ["m"] },
      },
      pools: [
        ["a", "b", "c"],
        ["b", "a"],
      ],
      router: {
        responseHeaders: true,
        rules: [
          { name: "named", match: { provider: "acme", models: ["m"] }, targets: [{ target: "c" }] },
          {
            name: "split",
            match: { models: ["split"] },
            targets: [
              { target: "c", weight: 0 },
              { target: "b", weight: 5 },
            ],
            fallback: { targets: ["a"] },
          },
          { name: "all", match: { models: ["m"] }, targets: [{ target: "a" }], fallback: { targets: ["b", "c"] } },
        ],
        onUnknownModel: { target: "b" },
        onMissingModel: { target: "b" },
        onMalformedBody: { target: "a" },
        onBodyTooLarge: { target: "a" },
        maxBodyBytes: 3 * MIB,
      },
    });
  });
  afterEach(() => gateway?.reset());
  afterAll(() => gateway?.close());

  const seen = (name: Name): Replica["requests"] => gateway.replica(name).requests;
  const keysOf = ({ headers }: Replica["requests"][number]): unknown[] =>
    ["authorization", "x-api-key", "api-key", "x-goog-api-key"].map((key) => headers[key]);
  const KEYS: Record<Name, unknown[]> = {
    a: [undefined, undefined, undefined, "key-of-a"],
    b: ["Token key-of-b", undefined, undefined, undefined],
    c: [undefined, undefined, undefined, undefined],
  };

  function send({ path, body, type = "application/json" }: Call, model: string, client = http1): Promise<RawAnswer> {
    const to = path(model);
    const headers = { "content-type": type, authorization: `Bearer ${KEY}`, "x-goog-api-key": KEY };
    return client(gateway.url, { path: `${to}${to.includes("?") ? "&" : "?"}key=${KEY}`, headers, body: body(model) });
  }

  test.each(Object.entries(CALLS))("%s: each attempt names the model as its provider does", async (_, call) => {
    const failures: Failure[] = [{ kind: "status", status: 429 }, { kind: "reset" }];
    for (const client of [http1, http2]) {
      await gateway.reset();
      gateway.replica("a").failNext(failures[0] as Failure);
      gateway.replica("b").failNext(failures[1] as Failure);
      const answer = await send(call, "m", client);
      expect([answer.status, answer.headers["x-llm-target"]]).toEqual([200, "c"]);
      for (const name of NAMES) {
        const [request] = seen(name);
        const body = Buffer.from(call.body(MODELS[name]));
        expect([name, request?.path, request?.body.equals(body)]).toEqual([name, call.path(MODELS[name]), true]);
        expect([name, request?.headers["content-length"]]).toEqual([name, String(body.length)]);
        expect([name, request && keysOf(request)]).toEqual([name, KEYS[name]]);
      }
      const { headers } = seen("c")[0] ?? {};
      const direct = await http1(gateway.replica("c").url, {
        path: call.path("m"),
        headers: { "content-type": headers?.["content-type"] ?? "" },
        body: call.body("m"),
      });
      expect(answer.body.equals(direct.body)).toBe(true);
    }
  });

  test("a target without a fallback gets its key and name in its only attempt", async () => {
    const call = CALLS["chat completions"] as Call;
    expect((await send(call, "whatever")).headers["x-llm-target"]).toBe("b");
    expect(seen("b").map((one) => [one.body.toString(), ...keysOf(one)])).toEqual([[call.body("b"), ...KEYS.b]]);
    gateway.replica("b").failNext({ kind: "status", status: 503 });
    expect((await send(call, "whatever")).status).toBe(503);
    expect(seen("b")).toHaveLength(2);
  });

  test("a provider in front of the model's name is taken off", async () => {
    const call = CALLS["chat completions"] as Call;
    expect((await send(call, "acme/m")).status).toBe(200);
    expect(seen("c")[0]?.body.toString()).toBe(call.body("m"));
    expect(seen("c")[0] && keysOf(seen("c")[0] as Replica["requests"][number])).toEqual([
      `Bearer ${KEY}`,
      undefined,
      undefined,
      KEY,
    ]);
  });

  test("requests whose body cannot be used go to their target as they are, with its key", async () => {
    const missing = await http1(gateway.url, {
      path: "/v1/chat/completions",
      body: `{${chat}}`,
      headers: { "api-key": KEY },
    });
    expect([missing.status, json(missing)]).toMatchObject([200, { model: "b" }]);
    const bodies = ["{ not json", `{${chat},"x":"${"y".repeat(3 * MIB)}"}`];
    for (const body of bodies) {
      for (const pieceBytes of [undefined, 60_001]) {
        await gateway.reset();
        await http1(gateway.url, {
          path: "/v1/chat/completions",
          body,
          headers: { "api-key": KEY },
          ...(pieceBytes ? { pieceBytes } : {}),
        });
        expect(seen("a").map((one) => [one.body.equals(Buffer.from(body)), ...keysOf(one)])).toEqual([
          [true, ...KEYS.a],
        ]);
      }
    }
  });

  test("the target that the weights choose leads its own pool", async () => {
    gateway.replica("b").failNext({ kind: "status", status: 500 });
    const answer = await send(CALLS["chat completions"] as Call, "split");
    expect([answer.status, answer.headers["x-llm-target"], answer.headers["x-llm-attempts"]]).toEqual([200, "a", "2"]);
    expect([seen("b").length, seen("a").length]).toEqual([1, 1]);
  });
});

test.each(POOLS)("providers over HTTP/2 that refuse the stream, Envoy $version, $kind", async ({ version, kind }) => {
  const server = createHttp2Server();
  let refused = 0;
  server.on("stream", (stream) => {
    refused++;
    stream.on("error", () => {});
    stream.close(7); // REFUSED_STREAM
  });
  server.on("session", (session) => onTestFinished(() => session.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const gateway = await startFallback({
    version,
    kind,
    providers: {
      a: { models: [], endpoints: [port], http2: true },
      b: { models: ["b"], target: { upstreamModel: "b" } },
    },
    pools: [["a", "b"]],
    router: { rules: [{ name: "all", targets: [{ target: "a" }], fallback: { targets: ["b"] } }] },
  });
  onTestFinished(() => gateway.close());
  for (const size of [10, 5 * MIB]) {
    const body = `{"messages":[{"role":"user","content":"${"x".repeat(size)}"}],"model":"m"}`;
    const answer = await http2(gateway.url, { path: "/v1/chat/completions", body });
    expect([answer.status, json(answer)]).toMatchObject([200, { model: "b" }]);
  }
  expect(refused).toBe(2);
});
