/** What reaches the replica when a request has passed llm-router in a real Envoy, byte by byte, in every framing. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, WAYS } from "./gateways.ts";
import { http1, http2, json, type RawClient, type RawRequest } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const KIB = 1024;
const MIB = 1024 * KIB;

const chat = (model: string, text = "hi"): string =>
  JSON.stringify({ model, messages: [{ role: "user", content: text }] });

/** A chat body of exactly `size` bytes with `model` at its end, where a filter has to read everything to find it. */
function bodyOfSize(size: number, model: string): Buffer {
  const head = '{"messages":[{"role":"user","content":"';
  const tail = `"}],"model":"${model}"}`;
  return Buffer.concat([
    Buffer.from(head),
    Buffer.alloc(size - head.length - tail.length, "lorem ipsum "),
    Buffer.from(tail),
  ]);
}

describe.each(WAYS)("$name", (way) => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await way.start();
  });
  afterAll(() => gateway?.close());

  /** Sends, and returns the answer with the one request that a replica saw. */
  async function send(request: Parameters<RawClient>[1], client: RawClient = http1) {
    gateway.clear();
    const answer = await client(gateway.url, request);
    const seen = gateway.seen();
    expect(seen.length).toBeLessThanOrEqual(1);
    return { answer, upstream: seen[0] };
  }

  describe("model mapping", () => {
    test.each([
      ["gpt-4o", "gpt", "gpt-4o-mini"],
      ["gpt-4.1", "gpt", "gpt-4.1"],
      ["claude-haiku-5-5", "claude", "claude-haiku-5-5"],
    ])("%s goes to %s as %s", async (model, route, upstreamModel) => {
      const { answer, upstream } = await send({ path: CHAT, body: chat(model) });
      expect(answer.status).toBe(200);
      expect(answer.headers["x-replica"]).toMatch(new RegExp(`^${route}-`));
      expect(json(answer)).toMatchObject({ model: upstreamModel });
      expect(upstream?.headers).toMatchObject({ "x-llm-route": route, "x-llm-model": model });
    });

    test("only the model changes; every other byte and the content-length are right", async () => {
      const pretty =
        '\r\n{ "temperature" : 1.50e0,\t"user":"\\u00e9\\"model\\"",  "model" :\n"gpt-4o" , "messages":[ {"role":"user","content":"é 😀 \\"model\\":\\"x\\""}]\n} \n';
      for (const pieceBytes of [undefined, 1, 7]) {
        const { answer, upstream } = await send({
          path: `${CHAT}?a=b`,
          body: pretty,
          ...(pieceBytes ? { pieceBytes } : {}),
        });
        expect(answer.status).toBe(200);
        const wanted = pretty.replace('"gpt-4o"', '"gpt-4o-mini"');
        expect(upstream?.body.toString()).toBe(wanted);
        expect(upstream?.path).toBe(`${CHAT}?a=b`);
        const { "content-length": length, "transfer-encoding": encoding } = upstream?.headers ?? {};
        if (pieceBytes === undefined)
          expect([length, encoding]).toEqual([String(Buffer.byteLength(wanted)), undefined]);
        else expect([length, encoding]).toEqual([undefined, "chunked"]);
      }
    });

    test("a body whose model is not renamed is not touched", async () => {
      const body = '{"model":"gpt-4.1","messages":[{"role":"user","content":"a"}],"x":[1,{"model":"claude"}]}';
      const { upstream } = await send({ path: CHAT, body });
      expect(upstream?.body.toString()).toBe(body);
    });

    test("an unknown or missing model, malformed JSON, an empty body: refused before any replica sees them", async () => {
      const cases: [string, number, string][] = [
        [chat("llama"), 404, "model_not_found"],
        ['{"messages":[]}', 400, "model_required"],
        ['{"model":7}', 400, "model_required"],
        ['{"model":"gpt-4o"', 400, "invalid_json"],
        ["", 400, "invalid_json"],
        ['{"model":"gpt-4o","model":"claude-x"}', 400, "ambiguous_model"],
      ];
      for (const [body, status, code] of cases) {
        const { answer, upstream } = await send({ path: CHAT, body });
        expect([body, answer.status]).toEqual([body, status]);
        expect(json(answer)).toMatchObject({ error: { type: "invalid_request_error", code } });
        expect(answer.headers["content-type"]).toBe("application/json");
        expect(upstream).toBeUndefined();
      }
    });
  });

  describe("reserved headers of a client", () => {
    const forged = {
      "x-llm-route": ["claude", "gpt"],
      "X-LLM-Model": "forged",
      "x-llm-anything": "1",
      "x-gateway-destination-endpoint": "127.0.0.1:1",
      "x-kept": "yes",
    };

    test.each([
      ["HTTP/1.1", http1],
      ["HTTP/2", http2],
    ])("are removed and replaced, %s", async (_, client) => {
      const headers =
        client === http2 ? Object.fromEntries(Object.entries(forged).map(([k, v]) => [k.toLowerCase(), v])) : forged;
      const { answer, upstream } = await send({ path: CHAT, body: chat("gpt-4o"), headers }, client);
      expect(answer.headers["x-replica"]).toMatch(/^gpt-/);
      expect(upstream?.headers).toMatchObject({ "x-llm-route": "gpt", "x-llm-model": "gpt-4o", "x-kept": "yes" });
      expect(upstream?.headers["x-llm-anything"]).toBeUndefined();
      expect(upstream?.headers["x-gateway-destination-endpoint"]).toBeUndefined();
    });

    test("are removed where no model is involved, so they cannot choose a route", async () => {
      const { answer, upstream } = await send({ method: "GET", path: "/v1/models", headers: forged });
      expect(answer.headers["x-replica"]).toMatch(/^gpt-/);
      expect(Object.keys(upstream?.headers ?? {}).filter((name) => /^x-(llm|gateway)-/.test(name))).toEqual([]);
    });
  });

  describe("other paths pass byte for byte", () => {
    const binary = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7 + (i >> 8)) & 255));

    test.each([
      ["HTTP/1.1", http1],
      ["HTTP/2", http2],
    ])("%s, with content-length and in pieces", async (_, client) => {
      for (const pieceBytes of [undefined, 3000]) {
        const framing = pieceBytes ? { pieceBytes } : {};
        const { answer } = await send({ method: "PUT", path: "/echo/x?q=1", body: binary, ...framing }, client);
        expect(answer.status).toBe(200);
        expect(answer.body.equals(binary)).toBe(true);
        expect(answer.headers["x-echo-path"]).toBe("/echo/x?q=1");
      }
    });

    test("JSON with a mapped model, a GET on a model path, a path that only looks like one", async () => {
      const body = chat("gpt-4o");
      const other = await send({ path: "/echo/chat", body });
      expect(other.answer.body.toString()).toBe(body);
      const get = await send({ method: "GET", path: CHAT });
      expect(get.upstream?.method).toBe("GET");
      const longer = await send({ path: `${CHAT}x`, body: "{" });
      expect(longer.upstream?.body.toString()).toBe("{");
    });
  });

  describe("large bodies", () => {
    const clients: [string, RawClient][] = [
      ["HTTP/1.1", http1],
      ["HTTP/2", http2],
    ];
    const sizes: [string, number][] = [
      ["32 KiB", 32 * KIB],
      ["1 MiB", MIB],
      ["10 MiB", 10 * MIB],
    ];
    test.each(clients.flatMap(([c, client]) => sizes.map(([s, size]) => [c, s, client, size] as const)))(
      "%s, %s, with content-length and in pieces",
      async (_, __, client, size) => {
        const body = bodyOfSize(size, "gpt-4o");
        for (const pieceBytes of [undefined, 50_001]) {
          const framing = pieceBytes ? { pieceBytes } : {};
          const { answer, upstream } = await send({ path: CHAT, body, ...framing }, client);
          expect(answer.status).toBe(200);
          expect(upstream?.body.length).toBe(size + "-mini".length);
          expect(upstream?.body.equals(bodyOfSize(size + "-mini".length, "gpt-4o-mini"))).toBe(true);
        }
      },
    );

    test("one byte over the limit is answered with 413 in the API's shape", async () => {
      const size = 10 * MIB + 1;
      const body = bodyOfSize(size, "gpt-4o");
      const requests: [RawClient, Partial<RawRequest>][] = [
        [http1, { body }],
        [http1, { body, pieceBytes: 50_001 }],
        [http2, { headers: { "content-length": String(size) }, hold: true }],
        [http2, { body, pieceBytes: 50_001, hold: true }],
      ];
      for (const [client, request] of requests) {
        const { answer, upstream } = await send({ path: CHAT, ...request }, client);
        expect(answer.status).toBe(413);
        expect(json(answer)).toMatchObject({ error: { code: "body_too_large" } });
        expect(upstream).toBeUndefined();
      }
    });
  });
});

describe.each(WAYS)("$name, with defaults in place of errors", (way) => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await way.start({
      router: {
        paths: ["/chat/completions"],
        maxBodyBytes: 2000,
        models: [
          { model: "gpt-5*", route: "gpt", upstreamModel: "gpt-5-pro" },
          { model: "gpt-5-cl*", route: "claude", upstreamModel: "claude-haiku-5-5" },
          { model: "*", route: "claude", upstreamModel: "claude-sonnet-5-5" },
        ],
        onMissingModel: { route: "gpt", upstreamModel: "gpt-4.1" },
        onMalformedBody: { route: "gpt" },
        onBodyTooLarge: { route: "claude" },
      },
    });
  });
  afterAll(() => gateway?.close());

  test.each([
    ["gpt-5-mini", "gpt-5-pro"],
    ["gpt-5-clever", "claude-haiku-5-5"],
    ["anything", "claude-sonnet-5-5"],
  ])("the longest prefix wins, * takes the rest: %s -> %s", async (model, upstreamModel) => {
    const answer = await http1(gateway.url, { path: CHAT, body: chat(model) });
    expect(json(answer)).toMatchObject({ model: upstreamModel });
  });

  test("a missing model is put in", async () => {
    for (const body of [
      '{"messages":[{"role":"user","content":"x"}]}',
      '{"model":null,"messages":[{"role":"user","content":"x"}]}',
    ]) {
      const answer = await http1(gateway.url, { path: CHAT, body });
      expect([answer.status, json(answer)]).toMatchObject([200, { model: "gpt-4.1" }]);
    }
  });

  test("a malformed or too large body goes to its default route as it is", async () => {
    gateway.clear();
    await http1(gateway.url, { path: CHAT, body: "{ not json" });
    const large = chat("anything", "y".repeat(3000));
    await http1(gateway.url, { path: CHAT, body: large });
    await http1(gateway.url, { path: CHAT, body: large, pieceBytes: 500 });
    expect(gateway.seen().map(({ body, headers }) => [body.toString(), headers["x-llm-route"]])).toEqual([
      ["{ not json", "gpt"],
      [large, "claude"],
      [large, "claude"],
    ]);
  });

  test("a path that is not in the list passes", async () => {
    gateway.clear();
    await http1(gateway.url, { path: "/v1/completions", body: '{"model":"anything"}' });
    expect(gateway.seen()[0]?.body.toString()).toBe('{"model":"anything"}');
    expect(gateway.seen()[0]?.headers["x-llm-route"]).toBeUndefined();
  });
});
