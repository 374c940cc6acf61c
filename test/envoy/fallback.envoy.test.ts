/**
 * Fallback on real Envoys, every way a provider fails: what each provider gets byte by byte, and that the client gets one whole answer.
 * On the newest release behind a composite cluster, on the oldest behind an aggregate one.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../envoy/harness/index.ts";
import type { Failure, Replica } from "../../envoy/replica/index.ts";
import { type FallbackGateway, POOLS, startFallback } from "./fallback-gateway.ts";
import { http1, http2, json, type RawAnswer, type RawClient } from "./http-client.ts";

const FALLBACKS = "wasmcustom.tokenmesh_llm_router_fallbacks";
const MIB = 1024 * 1024;
const CHAT = "/v1/chat/completions";
/** What the client must not get to see at any provider. */
const CLIENT_SECRET = "secret-of-the-client";
const CLIENT_KEYS = {
  authorization: `Bearer ${CLIENT_SECRET}`,
  "x-api-key": CLIENT_SECRET,
  "api-key": CLIENT_SECRET,
  "x-goog-api-key": CLIENT_SECRET,
};

/** What reaches a provider. Whatever one has, another has not: every attempt has to take back what the one before it wrote. */
interface Expected {
  readonly model: string;
  readonly path: string;
  readonly host: string | undefined;
  readonly keys: Readonly<Record<string, string>>;
}

const PROVIDERS = {
  a: {
    model: "gpt-x",
    path: "/azure/openai/v1/chat/completions?b=2",
    host: "a.example",
    keys: { authorization: "Bearer key-of-a" },
  },
  b: {
    model: "the-much-longer-name-of-the-model-at-b",
    path: `${CHAT}?b=2`,
    host: undefined,
    keys: { "x-api-key": "key-of-b" },
  },
  c: { model: "m", path: `${CHAT}?b=2`, host: "c.example", keys: {} },
} satisfies Record<string, Expected>;

type Name = keyof typeof PROVIDERS;
const NAMES = Object.keys(PROVIDERS) as Name[];

const TARGETS: Record<Name, JsonObject> = {
  a: {
    upstreamModel: PROVIDERS.a.model,
    host: PROVIDERS.a.host,
    pathPrefix: { from: "/v1", to: "/azure/openai/v1" },
    credential: { value: "key-of-a" },
  },
  b: { upstreamModel: PROVIDERS.b.model, credential: { header: "x-api-key", value: "key-of-b" } },
  c: { host: PROVIDERS.c.host },
};

const byHeader = (name: string): JsonObject => ({ headers: [{ name: "x-rule", exact: name }] });
const ROUTER: JsonObject = {
  responseHeaders: true,
  rules: [
    {
      name: "timed",
      match: byHeader("timed"),
      targets: [{ target: "a" }],
      fallback: { targets: ["b"], firstByteTimeout: "2s" },
    },
    { name: "chain", match: byHeader("chain"), targets: [{ target: "a" }], fallback: { targets: ["b", "c"] } },
    { name: "own", match: byHeader("own"), targets: [{ target: "a" }], fallback: { targets: ["b"], statuses: [401] } },
    { name: "two", targets: [{ target: "a" }], fallback: { targets: ["b"] } },
  ],
};

interface Case {
  readonly bytes: number;
  readonly stream: boolean;
  readonly framing: "length" | "chunked" | "HTTP/2";
}

const SIZES = [1_000, 70_000, MIB, 5 * MIB];
const FRAMINGS = ["length", "chunked", "HTTP/2"] as const;
const CASES: readonly Case[] = SIZES.flatMap((bytes, i) =>
  [false, true].map((stream, j) => ({ bytes, stream, framing: FRAMINGS[(i + j) % 3] ?? "length" })),
);

/** A chat of about `bytes` bytes with text that a careless editor would trip over; the model stands in front or at the end. */
function chatBody({ bytes, stream, framing }: Case, model: string): string {
  const text = 'lörem "model":"m" \\ 😀 '.repeat(Math.ceil(bytes / 31)); // of so many bytes in JSON
  const messages = [text, "and?"].map((content) => ({ role: "user", content }));
  const rest = `"messages":${JSON.stringify(messages)},"stream":${stream},"tools":[]`;
  return framing === "chunked" ? `{ "model" : "${model}", ${rest} }` : `{${rest},"model":"${model}"}\n`;
}

const status = (code: number): Failure => ({ kind: "status", status: code });
const FAILURES: readonly (readonly [string, Failure, "two" | "timed"])[] = [
  ...[429, 500, 502, 503, 504, 529].map((code) => [`status ${code}`, status(code), "two"] as const),
  ["connection refused", { kind: "refuse" }, "two"],
  ["reset before the headers", { kind: "reset" }, "two"],
  ["no answer in time", { kind: "hang" }, "timed"],
  ["headers of a 200, then nothing in time", { kind: "headersThenStall" }, "timed"],
];

describe.each(POOLS)("Envoy $version, $kind", ({ version, kind }) => {
  let gateway: FallbackGateway;

  beforeAll(async () => {
    const providers = Object.fromEntries(
      NAMES.map((name) => [name, { models: [PROVIDERS[name].model], target: TARGETS[name] }]),
    );
    gateway = await startFallback({
      version,
      kind,
      providers,
      pools: [
        ["a", "b"],
        ["a", "b", "c"],
      ],
      router: ROUTER,
    });
  });
  afterEach(() => gateway?.reset());
  afterAll(() => gateway?.close());

  const fail = (name: Name, failure: Failure): void => {
    gateway.replica(name).failNext(failure, { times: "always" });
  };

  /** Sends the case by a rule; `id` finds it again at the replicas. */
  function send(one: Case, rule: string, id = "0"): Promise<RawAnswer> {
    const client: RawClient = one.framing === "HTTP/2" ? http2 : http1;
    const headers = { ...CLIENT_KEYS, "content-type": "application/json", "x-rule": rule, "x-case": id };
    const framing = one.framing === "chunked" ? { pieceBytes: 60_001 } : {};
    const path = `${CHAT}?key=${CLIENT_SECRET}&b=2`;
    return client(gateway.url, { path, headers, body: chatBody(one, "m"), ...framing });
  }

  function seenBy(name: Name, id = "0"): Replica["requests"] {
    return gateway.replica(name).requests.filter(({ headers }) => headers["x-case"] === id);
  }

  /** What a provider got of a case, as far as it is not a body of megabytes. */
  function facts(name: Name, one: Case, id = "0"): unknown[] {
    return seenBy(name, id).map(({ path, headers, authority, body, rawHeaders }) => {
      const wanted = chatBody(one, PROVIDERS[name].model);
      const keys = Object.keys(CLIENT_KEYS).filter((key) => headers[key] !== undefined);
      return {
        path,
        host: authority === new URL(gateway.url).host ? undefined : authority,
        keys: Object.fromEntries(keys.map((key) => [key, headers[key]])),
        length: headers["content-length"] ?? headers["transfer-encoding"],
        body: body.equals(Buffer.from(wanted)) ? "as wanted" : body.toString().slice(0, 200),
        leaks: [path, ...rawHeaders].filter((text) => text.includes(CLIENT_SECRET)),
      };
    });
  }

  function wanted(name: Name, one: Case): unknown[] {
    const { model, path, host, keys } = PROVIDERS[name] as Expected;
    const length = one.framing === "chunked" ? "chunked" : String(Buffer.byteLength(chatBody(one, model)));
    return [{ path, host, keys, length, body: "as wanted", leaks: [] }];
  }

  /** The answer is the provider's own to the very request that it got. */
  async function expectAnswerOf(name: Name, answer: RawAnswer, id = "0"): Promise<void> {
    const [request] = seenBy(name, id);
    const direct = await http1(gateway.replica(name).url, { path: CHAT, body: request?.body ?? "" });
    expect(direct.status).toBe(200);
    expect(answer.body.equals(direct.body)).toBe(true);
    expect(answer.headers["content-type"]).toBe(direct.headers["content-type"]);
  }

  test.each(FAILURES)("%s: the next provider answers, each has got what is its own", async (_, failure, rule) => {
    const before = (await gateway.envoy.admin.stats("fallbacks")).get(FALLBACKS) ?? 0;
    fail("a", failure);
    const answers = await Promise.all(CASES.map((one, i) => send(one, rule, String(i))));
    for (const [i, one] of CASES.entries()) {
      const id = String(i);
      const answer = answers[i] as RawAnswer;
      const { "x-llm-target": target, "x-llm-attempts": attempts, "x-llm-model": model } = answer.headers;
      expect({ one, status: answer.status, target, attempts, model }).toEqual({
        one,
        status: 200,
        target: "b",
        attempts: "2",
        model: PROVIDERS.b.model,
      });
      expect({ one, a: facts("a", one, id), b: facts("b", one, id), c: facts("c", one, id) }).toEqual({
        one,
        a: failure.kind === "refuse" ? [] : wanted("a", one),
        b: wanted("b", one),
        c: [],
      });
      await expectAnswerOf("b", answer, id);
    }
    const after = (await gateway.envoy.admin.stats("fallbacks")).get(FALLBACKS) ?? 0;
    expect(after - before).toBe(CASES.length);
  });

  const small: Case = { bytes: 1_000, stream: false, framing: "length" };
  const streamed: Case = { ...small, stream: true };

  test.each([400, 401, 403, 404, 413, 422, 501])(
    "status %i is the client's to see: no second attempt",
    async (code) => {
      for (const rule of ["two", "timed", "chain"]) {
        fail("a", status(code));
        const answer = await send(streamed, rule, rule);
        expect([answer.status, answer.headers["x-llm-attempts"], answer.headers["x-llm-target"]]).toEqual([
          code,
          "1",
          "a",
        ]);
        expect(json(answer)).toMatchObject({ error: { message: `scripted failure ${code}` } });
        expect([facts("a", streamed, rule), seenBy("b"), seenBy("c")]).toEqual([wanted("a", streamed), [], []]);
      }
    },
  );

  test("a rule's own list of statuses counts in place of the default one", async () => {
    fail("a", status(401));
    expect((await send(small, "own")).headers["x-llm-target"]).toBe("b");
    await gateway.reset();
    fail("a", status(429));
    expect((await send(small, "own")).status).toBe(429);
  });

  test("three in a row: the third gets the request as it came, but for the keys", async () => {
    for (const one of CASES) {
      await gateway.reset();
      fail("a", status(503));
      fail("b", { kind: "reset" });
      const answer = await send(one, "chain");
      expect([one, answer.status, answer.headers["x-llm-attempts"]]).toEqual([one, 200, "3"]);
      for (const name of NAMES) expect([one, name, facts(name, one)]).toEqual([one, name, wanted(name, one)]);
      await expectAnswerOf("c", answer);
    }
  });

  test("all fail: the last one's answer, whole", async () => {
    for (const [i, name] of NAMES.entries()) {
      gateway.replica(name).failNext({ kind: "status", status: [429, 500, 529][i] ?? 0, body: `no from ${name}` });
    }
    const answer = await send(streamed, "chain");
    expect([answer.status, answer.body.toString(), answer.headers["x-llm-target"]]).toEqual([529, "no from c", "c"]);
    expect(NAMES.map((name) => seenBy(name).length)).toEqual([1, 1, 1]);
  });

  test("nobody can be reached, or nobody says anything: Envoy's own 503 or 504, in the shape of the API", async () => {
    for (const name of NAMES) fail(name, { kind: "refuse" });
    const unreachable = await send(small, "chain");
    expect([unreachable.status, unreachable.headers["content-type"]]).toEqual([503, "application/json"]);
    expect(JSON.parse(unreachable.body.toString())).toMatchObject({ error: { code: "upstream_unreachable" } });
    await gateway.reset();
    for (const name of NAMES) fail(name, { kind: "hang" });
    const answer = await send(small, "timed");
    expect([answer.status, answer.headers["x-llm-attempts"], answer.headers["x-llm-target"]]).toEqual([504, "2", "b"]);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { code: "upstream_timeout" } });
  });
});
