/** What observability finds beside the statistics: a JSON object per call in access logs, headers on answers, and trace headers that pass untouched. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { type FallbackGateway, POOLS, startFallback } from "./fallback-gateway.ts";
import { http1, http2, json, type RawRequest } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const FORMAT = "%RESPONSE_CODE% %REQ(X-CASE)% %RESPONSE_CODE_DETAILS% %FILTER_STATE(wasm.llm:PLAIN)%\n";
/** A name that JSON must escape. */
const ODD = 'vendor/"odd"\\näme';

interface Line {
  readonly status: number;
  readonly details: string;
  /** Text of the filter state. */
  readonly llm: string;
}

describe.each(POOLS)("Envoy $version, $kind", ({ version, kind }) => {
  let gateway: FallbackGateway;
  let folder: string;
  let cases = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tokenmesh-access-log-"));
    const log = {
      name: "envoy.access_loggers.file",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path: join(folder, "access.log"),
        log_format: { text_format_source: { inline_string: FORMAT } },
      },
    };
    gateway = await startFallback({
      version,
      kind,
      providers: {
        a: { models: ["model-of-a"], target: { upstreamModel: "model-of-a", credential: { value: "key-of-a" } } },
        b: {
          models: ["model-of-b"],
          target: { upstreamModel: "model-of-b", credential: { value: "key-of-b" } },
          replica: { prefixCache: true },
        },
      },
      pools: [["a", "b"]],
      router: {
        accessLog: true,
        responseHeaders: true,
        rules: [
          { name: "odd", match: { models: [ODD] }, targets: [{ target: "b" }] },
          {
            name: "all",
            match: { models: ["m"] },
            targets: [{ target: "a" }],
            fallback: { targets: ["b"], firstByteTimeout: "500ms" },
          },
        ],
      },
      hcm: { access_log: [log] },
      args: ["--file-flush-interval-msec", "50"],
    });
  });
  afterEach(() => gateway?.reset());
  afterAll(async () => {
    await gateway?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function logged(
    request: RawRequest,
    client = http1,
  ): Promise<{ answer: Awaited<ReturnType<typeof http1>> | undefined; line: Line }> {
    const id = `case-${++cases}`;
    const answer = await client(gateway.url, { ...request, headers: { ...request.headers, "x-case": id } }).catch(
      () => undefined,
    );
    const found = await waitFor(
      async () =>
        (await readFile(join(folder, "access.log"), "utf8")).split("\n").find((text) => text.split(" ")[1] === id),
      { what: `the log line of ${id}` },
    );
    const [status = "", , details = "", ...rest] = found.split(" ");
    return { answer, line: { status: Number(status), details, llm: rest.join(" ") } };
  }

  const body = (model: string, stream = false): string =>
    JSON.stringify({
      model,
      messages: [{ role: "user", content: "what a secret question" }],
      stream,
      stream_options: { include_usage: true },
    });
  const usage = { input_tokens: 8, output_tokens: 24, cached_tokens: 0 };

  test("a call, whole and streamed: model, target and tokens, nothing of its content", async () => {
    for (const [stream, client] of [
      [false, http1],
      [true, http1],
      [true, http2],
    ] as const) {
      const { line } = await logged(
        { path: CHAT, body: body("m", stream), headers: { authorization: "Bearer of-the-client" } },
        client,
      );
      expect(JSON.parse(line.llm)).toEqual({
        api: "openai.chat",
        model: "m",
        rule: "all",
        target: "a",
        served_model: "model-of-a",
        ...usage,
      });
    }
  });

  test("a call that fell back: the target and the model that served", async () => {
    gateway.replica("a").failNext({ kind: "status", status: 503 });
    const { answer, line } = await logged({ path: CHAT, body: body("m") });
    expect(JSON.parse(line.llm)).toEqual({
      api: "openai.chat",
      model: "m",
      rule: "all",
      target: "b",
      served_model: "model-of-b",
      ...usage,
    });
    const { "x-llm-model": model, "x-llm-target": target, "x-llm-attempts": attempts } = answer?.headers ?? {};
    expect([model, target, attempts]).toEqual(["model-of-b", "b", "2"]);
  });

  test("a model name that JSON must escape, and cached tokens", async () => {
    await logged({ path: CHAT, body: body(ODD) });
    const { answer, line } = await logged({ path: CHAT, body: body(ODD) });
    expect(JSON.parse(line.llm)).toMatchObject({
      model: ODD,
      rule: "odd",
      target: "b",
      served_model: "model-of-b",
      input_tokens: 8,
    });
    expect(answer?.headers["x-llm-target"]).toBe("b");
  });

  test("a call that nobody could serve: still its model and target, no tokens", async () => {
    for (const failure of [{ kind: "hang" }, { kind: "status", status: 429 }] as const) {
      for (const name of ["a", "b"]) gateway.replica(name).failNext(failure);
      const { answer, line } = await logged({ path: CHAT, body: body("m") });
      expect([line.status, line.status]).toEqual([answer?.status, failure.kind === "hang" ? 504 : 429]);
      expect(JSON.parse(line.llm)).toEqual({
        api: "openai.chat",
        model: "m",
        rule: "all",
        target: "b",
        served_model: "model-of-b",
      });
    }
  });

  test("a call whose answer breaks off, and one that its client gives up: what was known until then", async () => {
    gateway.replica("b").failNext({ kind: "breakMidStream", afterEvents: 3 });
    const broken = await logged({ path: CHAT, body: body(ODD, true) });
    expect(broken.answer).toBeUndefined();
    expect(JSON.parse(broken.line.llm)).toMatchObject({ api: "openai.chat", model: ODD, target: "b" });
    gateway.replica("b").failNext({ kind: "hang" });
    const givenUp = await logged({ path: CHAT, body: body(ODD), timeoutMs: 200 });
    expect([givenUp.answer, givenUp.line.status]).toEqual([undefined, 0]);
    expect(JSON.parse(givenUp.line.llm)).toMatchObject({ api: "openai.chat", model: ODD, target: "b" });
  });

  test("what the filter refuses, and what is no call, has no such state; refusals are told by their details", async () => {
    const unknown = await logged({ path: CHAT, body: body("nobody") });
    expect(unknown.line).toEqual({ status: 404, details: "tokenmesh_model_not_found", llm: "-" });
    expect(json(unknown.answer as NonNullable<typeof unknown.answer>)).toMatchObject({
      error: { code: "model_not_found" },
    });
    const other = await logged({ method: "GET", path: "/v1/models" });
    expect([other.line.status, other.line.llm]).toEqual([200, "-"]);
  });

  test.each([
    ["HTTP/1.1", http1],
    ["HTTP/2", http2],
  ])("trace headers reach every attempt as they came, %s", async (_, client) => {
    const headers = {
      traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      tracestate: "vendor1=value,vendor2=t61rcWkgMzE",
      b3: "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
      "x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7",
      "x-request-id": "0b3a8f4e-2f4c-4f43-9a30-9e7d9a6c1f11",
      baggage: "user=1",
    };
    gateway.replica("a").failNext({ kind: "reset" });
    await logged({ path: CHAT, body: body("m"), headers }, client);
    for (const name of ["a", "b"]) expect(gateway.replica(name).requests[0]?.headers).toMatchObject(headers);
  });
});
