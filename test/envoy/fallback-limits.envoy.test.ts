/** Where fallback ends: what has begun to arrive is not begun again. And what it does not depend on: load, endpoints that are gone, odd providers. */
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { TIMING_PROFILES } from "../../envoy/replica/index.ts";
import { BUFFER_BYTES, type FallbackGateway, POOLS, startFallback } from "./fallback-gateway.ts";
import { http1, http2, type RawAnswer } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const MIB = 1024 * 1024;
const TOKENS = 12;
/** One token each 100 ms: an answer takes longer than the time to its first byte may. */
const SLOW = { ...TIMING_PROFILES.instant, iterationMs: 100 };

const model = (name: string) => ({ match: { models: [name] } });
const chat = (name: string, stream = false, text = "hello"): string =>
  JSON.stringify({ model: name, messages: [{ role: "user", content: text }], stream });

describe.each(POOLS)("Envoy $version, $kind", ({ version, kind }) => {
  let gateway: FallbackGateway;

  beforeAll(async () => {
    gateway = await startFallback({
      version,
      kind,
      providers: {
        a: { models: ["plain", "timed"], target: { credential: { value: "key-of-a" } } },
        b: { models: ["model-of-b"], target: { upstreamModel: "model-of-b" } },
        slow: { models: ["slow"], replica: { timing: SLOW, answerTokens: TOKENS } },
        gone: { models: ["gone"], endpoints: [] },
        ill: {
          models: ["ill"],
          cluster: {
            common_lb_config: { healthy_panic_threshold: { value: 0 } },
            health_checks: [
              {
                timeout: "1s",
                interval: "0.05s",
                unhealthy_threshold: 1,
                healthy_threshold: 1,
                http_health_check: { path: "/no" },
              },
            ],
          },
        },
      },
      pools: [
        ["a", "b"],
        ["slow", "b"],
        ["gone", "b"],
        ["a", "gone", "b"],
        ["ill", "b"],
      ],
      router: {
        responseHeaders: true,
        rules: [
          { name: "plain", ...model("plain"), targets: [{ target: "a" }], fallback: { targets: ["b"] } },
          {
            name: "timed",
            ...model("timed"),
            targets: [{ target: "a" }],
            fallback: { targets: ["b"], firstByteTimeout: "2s" },
          },
          {
            name: "slow",
            ...model("slow"),
            targets: [{ target: "slow" }],
            fallback: { targets: ["b"], firstByteTimeout: "600ms" },
          },
          { name: "gone", ...model("gone"), targets: [{ target: "gone" }], fallback: { targets: ["b"] } },
          { name: "hole", ...model("hole"), targets: [{ target: "a" }], fallback: { targets: ["gone", "b"] } },
          { name: "ill", ...model("ill"), targets: [{ target: "ill" }], fallback: { targets: ["b"] } },
        ],
      },
    });
  });
  afterEach(() => gateway?.reset());
  afterAll(() => gateway?.close());

  const send = (body: string): Promise<RawAnswer> => http1(gateway.url, { path: CHAT, body });
  const counts = (...names: string[]): number[] => names.map((name) => gateway.replica(name).requests.length);
  const outcome = ({ status, headers }: RawAnswer): unknown[] => [
    status,
    headers["x-llm-target"],
    headers["x-llm-attempts"],
  ];

  test.each(["plain", "timed"])(
    "a stream that breaks after its first event is not begun again: the client sees the cut (%s)",
    async (name) => {
      gateway.replica("a").failNext({ kind: "breakMidStream", afterEvents: 2 });
      const { text, end } = await readRaw(gateway.url, chat(name, true));
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(text.match(/data: \{/g)).toHaveLength(2);
      expect([text.includes("[DONE]"), text.endsWith("0\r\n\r\n"), end]).toEqual([false, false, "closed"]);
      expect(counts("a", "b")).toEqual([1, 0]);
    },
  );

  test("a whole answer that breaks in its middle is not asked for again either", async () => {
    gateway.replica("a").failNext({ kind: "breakMidStream", afterEvents: 0 });
    const { text } = await readRaw(gateway.url, chat("plain"));
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(() => JSON.parse(text.slice(text.indexOf("\r\n\r\n"))) as unknown).toThrow();
    expect(counts("a", "b")).toEqual([1, 0]);
  });

  test("a stream may take longer than its first byte", async () => {
    const answer = await send(chat("slow", true));
    expect(outcome(answer)).toEqual([200, "slow", "1"]);
    expect(answer.elapsedMs).toBeGreaterThan(900);
    expect(answer.body.toString()).toMatch(/data: \[DONE\]\n\n$/);
    expect(counts("slow", "b")).toEqual([1, 0]);
  });

  test("a whole answer has its first byte at its end: one that takes longer goes to the next provider", async () => {
    expect(outcome(await send(chat("slow")))).toEqual([200, "b", "2"]);
    await waitFor(() => gateway.replica("slow").requests[0]?.outcome === "peer-gone", {
      what: "the slow attempt to be given up",
    });
  });

  test("a provider without an endpoint, first or in between, is passed over", async () => {
    expect(outcome(await send(chat("gone")))).toEqual([200, "b", "1"]);
    gateway.replica("a").failNext({ kind: "status", status: 503 });
    expect(outcome(await send(chat("hole")))).toEqual([200, "b", "2"]);
    expect(gateway.replica("b").requests.map(({ body, headers }) => [body.toString(), headers.authorization])).toEqual([
      [chat("model-of-b"), undefined],
      [chat("model-of-b"), undefined],
    ]);
  });

  test("a provider whose health check fails is passed over", async () => {
    const healthy = async () =>
      (await gateway.envoy.admin.stats("membership_healthy")).get("cluster.ill.membership_healthy");
    await waitFor(async () => (await healthy()) === 0, { what: "the health check to have failed" });
    expect(outcome(await send(chat("ill")))).toEqual([200, "b", "1"]);
    expect(gateway.replica("ill").requests.filter(({ method }) => method === "POST")).toEqual([]);
  });

  test("200 requests at once while the first provider fails: all are answered by the next, none by luck", async () => {
    gateway.replica("a").failNext({ kind: "status", status: 429 }, { times: "always" });
    const clients = [http1, http2];
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        (clients[i % 2] ?? http1)(gateway.url, { path: CHAT, body: chat("plain", true, `number ${i}`) }),
      ),
    );
    expect(answers.map(outcome)).toEqual(answers.map(() => [200, "b", "2"]));
    expect(
      answers.every(({ body }, i) => body.includes(`number ${i}`) && body.toString().endsWith("data: [DONE]\n\n")),
    ).toBe(true);
    expect((await gateway.envoy.admin.stats("retry_overflow")).get("cluster.a+b.upstream_rq_retry_overflow")).toBe(0);
    expect(counts("a", "b")).toEqual([200, 200]);
  });

  test("a client that gives up during an attempt leaves nothing behind", async () => {
    for (let i = 0; i < 20; i++) {
      gateway.replica("a").failNext({ kind: "hang" });
      const { hostname, port } = new URL(gateway.url);
      const socket = connect(Number(port), hostname);
      socket.write(postBytes(chat("timed")));
      await waitFor(() => counts("a")[0] === i + 1, { what: "the attempt" });
      socket.destroy();
    }
    const active = async () => (await gateway.envoy.admin.stats("rq_active")).get("cluster.a.upstream_rq_active");
    await waitFor(async () => (await active()) === 0, { what: "the attempts to be given up" });
    expect(outcome(await send(chat("timed")))).toEqual([200, "a", "1"]);
    expect(counts("b")).toEqual([0]);
  });

  test("the largest body that is accepted is also sent twice", async () => {
    const body = chat("plain", false, "x".repeat(10 * MIB - chat("plain").length));
    for (const pieceBytes of [undefined, 60_001]) {
      gateway.replica("a").failNext({ kind: "reset" });
      const answer = await http1(gateway.url, { path: CHAT, body, ...(pieceBytes ? { pieceBytes } : {}) });
      expect(outcome(answer)).toEqual([200, "b", "2"]);
    }
    expect(BUFFER_BYTES).toBeGreaterThan(2 * 10 * MIB);
    expect((await gateway.envoy.admin.stats("abandoned")).get("cluster.a+b.retry_or_shadow_abandoned")).toBe(0);
  });
});

describe.each(POOLS)("odd providers, Envoy $version, $kind", ({ version, kind }) => {
  /** A gateway whose first provider is this server. */
  async function behind(listener: RequestListener, firstByteTimeout: string | undefined): Promise<FallbackGateway> {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => void server.close(() => resolve()));
    });
    const gateway = await startFallback({
      version,
      kind,
      providers: { a: { models: [], endpoints: [(server.address() as AddressInfo).port] }, b: { models: ["m"] } },
      pools: [["a", "b"]],
      router: {
        responseHeaders: true,
        rules: [
          {
            name: "all",
            targets: [{ target: "a" }],
            fallback: { targets: ["b"], ...(firstByteTimeout ? { firstByteTimeout } : {}) },
          },
        ],
      },
    });
    onTestFinished(() => gateway.close());
    return gateway;
  }

  test.each([undefined, "5s"])(
    "one that refuses before it has read the body (first-byte timeout %s)",
    async (timeout) => {
      const gateway = await behind((request, response) => {
        request.pause();
        response.writeHead(429, { "content-type": "text/plain" }).end("too many");
      }, timeout);
      for (const size of [100, 5 * MIB]) {
        const body = chat("m", false, "x".repeat(size));
        const answer = await http1(gateway.url, { path: CHAT, body });
        expect([answer.status, answer.headers["x-llm-target"]]).toEqual([200, "b"]);
        expect(gateway.replica("b").requests.at(-1)?.body.toString()).toBe(body);
      }
    },
  );

  test.each([undefined, "5s"])("one that answers 200 without a body (first-byte timeout %s)", async (timeout) => {
    const gateway = await behind((request, response) => {
      const empty = request.url?.endsWith("empty") ? { "content-length": "0" } : {};
      request.resume().on("end", () => response.writeHead(200, { "x-from": "odd", ...empty }).end());
    }, timeout);
    for (const query of ["?empty", "?chunked"]) {
      const answer = await http1(gateway.url, { path: CHAT + query, body: chat("m") });
      expect([answer.status, answer.headers["x-from"], answer.body.length]).toEqual([200, "odd", 0]);
    }
    expect(gateway.replica("b").requests).toHaveLength(0);
  });

  test.each([undefined, "5s"])("one that answers with trailers (first-byte timeout %s)", async (timeout) => {
    const gateway = await behind((request, response) => {
      request.resume().on("end", () => {
        response.writeHead(200, { trailer: "x-checksum" });
        if (request.url?.endsWith("body")) response.write("text");
        response.addTrailers({ "x-checksum": "1" });
        response.end();
      });
    }, timeout);
    for (const [query, body] of [
      ["?body", "text"],
      ["?none", ""],
    ]) {
      const answer = await http1(gateway.url, { path: `${CHAT}${query}`, body: chat("m") });
      expect([answer.status, answer.body.toString()]).toEqual([200, body]);
    }
  });
});

function postBytes(body: string): string {
  return `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Sends one request and reads until the connection ends, however it does. */
function readRaw(url: string, body: string): Promise<{ text: string; end: string }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let text = "";
    let end = "closed";
    socket.setEncoding("latin1").on("data", (piece: string) => {
      text += piece;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      end = error.code ?? "error";
    });
    socket.on("close", () => resolve({ text, end }));
    socket.write(postBytes(body));
  });
}
