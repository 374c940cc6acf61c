/** Answers from the cache on real Envoy: llm-gateway with router, cache and limits, two workers, in front of an upstream that answers when the test says so. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  staticBootstrap,
  versionsUnderTest,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { document, events } from "../filters/cache-driver.ts";
import { WASM_DIR } from "./gateways.ts";
import { http1 } from "./http-client.ts";

const PATH = "/v1/chat/completions";
const SSE = "text/event-stream";

/** Tokens of a day: far more than all tests together. */
const limits = { rules: [{ name: "all", limits: [{ unit: "tokens", amount: 100_000_000, per: "day" }] }] };
const named = (name: string) => ({ headers: [{ name: "x-rule", exact: name }] });
const config = {
  router: { models: [{ model: "m", route: "u", upstreamModel: "served" }] },
  promptCache: {
    rules: [
      { name: "stale", match: named("stale"), key: [], ttlMs: 1_000, staleIfErrorMs: 600_000 },
      { name: "counted", match: named("counted"), key: [], hitTokens: 50 },
      { name: "all" },
    ],
  },
  rateLimit: limits,
};

interface Call {
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
  readonly answer: ServerResponse;
}

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let envoy: EnvoyProcess;
  let upstream: Server;
  let url: string;
  let calls: Call[] = [];
  /** What the upstream does with a call; undefined: the test answers it. */
  let respond: ((call: Call) => void) | undefined;

  beforeAll(async () => {
    upstream = createServer((incoming, answer) => {
      const pieces: Buffer[] = [];
      incoming.on("data", (piece: Buffer) => pieces.push(piece));
      incoming.on("end", () => {
        const call = { body: Buffer.concat(pieces).toString(), headers: incoming.headers, answer };
        calls.push(call);
        respond?.(call);
      });
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    const filter = wasmFilter({ name: "llm-gateway", file: join(WASM_DIR, "llm-gateway.wasm"), configuration: config });
    const bootstrap = staticBootstrap({
      listeners: [httpListener({ name: "llm", httpFilters: [filter], routes: [{ cluster: "u" }] })],
      clusters: [cluster({ name: "u", targets: [(upstream.address() as AddressInfo).port] })],
    });
    envoy = await EnvoyProcess.start({ bootstrap, version, concurrency: 2 });
    url = `http://${await envoy.listenerAddress("llm")}`;
  });
  afterAll(async () => {
    await envoy?.stop();
    upstream?.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
  });

  const ask = (text: string, more: object = {}, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    http1(url, {
      ...(signal === undefined ? {} : { signal }),
      path: PATH,
      headers: { authorization: "Bearer k", ...headers },
      body: JSON.stringify({ model: "m", messages: [{ role: "user", content: text }], ...more }),
      timeoutMs: 40_000,
    });
  const plain = (text: string) => (call: Call) =>
    void call.answer.setHeader("content-type", "application/json").end(document(text));
  const streamed = (text: string) => (call: Call) =>
    void call.answer.setHeader("content-type", SSE).end(events(text).join(""));

  test("an answer comes again as it came", async () => {
    [calls, respond] = [[], plain("x")];
    const first = await ask("again");
    expect(first).toMatchObject({ status: 200, body: Buffer.from(document("x")), headers: { "x-llm-cache": "miss" } });
    for (let i = 0; i < 10; i++) {
      const next = await ask("again");
      expect(next).toMatchObject({
        status: 200,
        body: Buffer.from(document("x")),
        headers: { "x-llm-cache": "hit", "x-llm-cache-key": first.headers["x-llm-cache-key"] },
      });
    }
    expect(calls.length).toBe(1);
    respond = streamed("hello");
    const stream = await ask("again", { stream: true });
    expect(stream.headers["x-llm-cache"]).toBe("miss");
    expect(await ask("again", { stream: true })).toMatchObject({
      body: stream.body,
      headers: { "x-llm-cache": "hit", "content-type": SSE },
    });
    expect(calls.length).toBe(2);
  });

  test("a hundred who ask for the same stream at once cost one call", async () => {
    [calls, respond] = [[], undefined];
    const asked = Array.from({ length: 100 }, () => ask("hundred", { stream: true }));
    const call = await waitFor(() => calls[0], { what: "the call of the first" });
    await waitFor(async () => (await inFlight()) === 100, { what: "all hundred at the gateway" });
    streamed("a hundred times")(call);
    const answers = await Promise.all(asked);
    expect(new Set(answers.map(({ body }) => body.toString()))).toEqual(new Set([events("a hundred times").join("")]));
    const states = answers.map(({ headers }) => headers["x-llm-cache"]);
    expect([
      states.filter((state) => state === "miss").length,
      states.filter((state) => state === "coalesced").length,
    ]).toEqual([1, 99]);
    expect(calls.length).toBe(1);
  });

  test("who waits takes the call over when its client or its upstream goes away", async () => {
    [calls, respond] = [[], undefined];
    const gone = new AbortController();
    const first = ask("over", { stream: true }, {}, gone.signal).catch((error: unknown) => error);
    await waitFor(() => calls[0], { what: "the call of the first" });
    const others = [ask("over", { stream: true }), ask("over", { stream: true }), ask("over", { stream: true })];
    await waitFor(async () => (await inFlight()) === 4, { what: "all four at the gateway" });
    gone.abort();
    await first;
    const second = await waitFor(() => calls[1], { what: "the call of the next" });
    second.answer.writeHead(500).end("no");
    const third = await waitFor(() => calls[2], { what: "the call of the one behind" });
    // A request that waited is changed as one that did not: model of the target, usage for the limiter.
    expect(JSON.parse(third.body)).toMatchObject({
      model: "served",
      stream: true,
      stream_options: { include_usage: true },
    });
    streamed("over")(third);
    const answers = await Promise.all(others);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 500]);
    expect(answers.map(({ headers }) => headers["x-llm-cache"]).sort()).toEqual(["coalesced", "miss", "miss"]);
    for (const { status, body } of answers) if (status === 200) expect(body.toString()).toBe(events("over").join(""));
    expect(calls.length).toBe(3);
  });

  test("an answer that is old stands in for an upstream that fails", async () => {
    [calls, respond] = [[], plain("old")];
    const rule = { "x-rule": "stale" };
    await ask("stale", {}, rule);
    const failures: [string, (call: Call) => void][] = [
      [
        "a body",
        (call) =>
          void call.answer.writeHead(503, { "content-type": "text/plain", "retry-after": "9" }).end("x".repeat(70_000)),
      ],
      ["headers only", (call) => void call.answer.writeHead(500, { "content-length": "0" }).end()],
      ["a connection that breaks off", (call) => void call.answer.destroy()],
    ];
    for (const [what, failure] of failures) {
      respond = failure;
      const answer = await waitFor(
        async () => {
          const got = await ask("stale", {}, rule);
          return got.headers["x-llm-cache"] === "hit" ? undefined : got;
        },
        { what: "the answer to be old" },
      );
      expect([
        what,
        answer.status,
        answer.headers["x-llm-cache"],
        answer.headers["content-type"],
        answer.headers["retry-after"],
        answer.body.toString(),
      ]).toEqual([what, 200, "stale", "application/json", undefined, document("old")]);
    }
  });

  test("a hit takes the part of its tokens that the rule says", async () => {
    const costly = { ...JSON.parse(document("x")), usage: { prompt_tokens: 70_000, completion_tokens: 50_000 } };
    respond = ({ answer }) => void answer.setHeader("content-type", "application/json").end(JSON.stringify(costly));
    const left = async () => {
      respond = plain("left");
      return Number((await ask(`left ${Math.random()}`)).headers["x-ratelimit-remaining-tokens"]);
    };
    await ask("counted", {}, { "x-rule": "counted" });
    const atFirst = await left();
    expect((await ask("counted", {}, { "x-rule": "counted" })).headers["x-llm-cache"]).toBe("hit");
    const counted = await left();
    respond = ({ answer }) => void answer.setHeader("content-type", "application/json").end(JSON.stringify(costly));
    await ask("free");
    const before = await left();
    expect((await ask("free")).headers["x-llm-cache"]).toBe("hit");
    const free = await left();
    // Besides, asking what is left takes some.
    expect(atFirst - counted).toBeGreaterThan(60_000);
    expect(atFirst - counted).toBeLessThan(60_100);
    expect(before - free).toBeLessThan(100);
  });

  const inFlight = async (): Promise<number> =>
    (await envoy.admin.stats("http.llm.downstream_rq_active")).get("http.llm.downstream_rq_active") ?? 0;
});
