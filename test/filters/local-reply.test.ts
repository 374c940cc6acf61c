import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { base, chat, RouterHost } from "./router-driver.ts";

/** Envoy's own answers: text for people, which SDKs take for something else. */

const gemini = chat({ ":path": "/v1beta/models/gpt-4o:generateContent" });
const anthropic = chat({ ":path": "/v1/messages" });
const cases: [details: string, status: number, code: string][] = [
  ["no_healthy_upstream", 503, "no_healthy_upstream"],
  ["cluster_not_found", 503, "cluster_unknown"],
  ["route_not_found", 404, "route_unknown"],
  ["upstream_reset_before_response_started{overflow}", 503, "upstream_overloaded"],
  ["upstream_reset_before_response_started{protocol_error}", 502, "upstream_protocol_error"],
  [
    "upstream_reset_before_response_started{connection_failure|delayed_connect_error:_111}",
    503,
    "upstream_unreachable",
  ],
  ["upstream_response_timeout", 504, "upstream_timeout"],
  ["response_timeout", 504, "upstream_timeout"],
  ["upstream_per_try_timeout", 504, "upstream_timeout"],
  ["upstream_per_try_idle_timeout", 504, "upstream_timeout"],
  ["upstream_max_stream_duration_reached", 504, "upstream_timeout"],
  ["stream_idle_timeout", 504, "upstream_timeout"],
];

const envoySays = (stream: Stream, details: string, status: number, text = "upstream connect error"): Stream => {
  stream.reply({ status, details, body: Buffer.from(text), headers: [], grpcStatus: undefined });
  return stream;
};
const answerOf = (stream: Stream) => {
  const { headers, text, ended } = stream.downstream;
  expect(headers?.get("content-length")).toBe(String(Buffer.byteLength(text)));
  return { status: headers?.get(":status"), type: headers?.get("content-type"), text, ended };
};

describe("Envoy's own answer", () => {
  it.each(cases)("%s", async (details, status, code) => {
    const gateway = await RouterHost.start(base);
    const { text, ...rest } = answerOf(envoySays(gateway.send('{"model":"gpt-4o"}'), details, status));
    expect(rest).toEqual({ status: String(status), type: "application/json", ended: true });
    expect(JSON.parse(text)).toMatchObject({ error: { code, param: null, message: expect.any(String) } });
  });

  it("without a body is given one", async () => {
    const gateway = await RouterHost.start(base);
    const stream = envoySays(gateway.send('{"model":"gpt-4o"}'), "route_not_found", 404, "");
    expect(answerOf(stream)).toMatchObject({ status: "404", type: "application/json", ended: true });
    expect(JSON.parse(stream.downstream.text)).toMatchObject({ error: { code: "route_unknown" } });
  });

  it("has Anthropic's and Gemini's shape on their paths", async () => {
    const gateway = await RouterHost.start(base);
    const timeout = (headers: [string, string][]) =>
      JSON.parse(answerOf(envoySays(gateway.send('{"model":"gpt-4o"}', headers), "response_timeout", 504)).text);
    expect(timeout(anthropic)).toMatchObject({ type: "error", error: { type: "timeout_error" } });
    expect(timeout(gemini)).toMatchObject({ error: { code: 504, status: "DEADLINE_EXCEEDED" } });
    const unhealthy = envoySays(gateway.send('{"model":"gpt-4o"}', gemini), "no_healthy_upstream", 503);
    expect(JSON.parse(answerOf(unhealthy).text)).toMatchObject({ error: { code: 503, status: "UNAVAILABLE" } });
  });

  it("to a body over the listener's buffer limit is body_too_large, and the stream waits for nothing more", async () => {
    const gateway = await RouterHost.start(base, { bufferLimitBytes: 1000 });
    const stream = gateway.router.stream().requestHeaders(chat()).requestBody("x".repeat(2000), {});
    expect(JSON.parse(answerOf(stream).text)).toMatchObject({ error: { code: "body_too_large" } });
    gateway.host.advance(2000);
    expect(gateway.host.logs.filter(({ level }) => level === "error")).toEqual([]);
  });

  it.each<[string, string, number]>([
    ["with a status that its code does not have", "stream_idle_timeout", 408],
    ["of a route's direct response", "direct_response", 503],
    ["of another filter", "ext_authz_denied", 403],
    ["that is not known", "something_new", 500],
  ])("%s stays as it is", async (_, details, status) => {
    const gateway = await RouterHost.start(base);
    const answer = answerOf(envoySays(gateway.send('{"model":"gpt-4o"}'), details, status));
    expect(answer).toMatchObject({ status: String(status), type: "text/plain", text: "upstream connect error" });
  });

  it("to what is no LLM call stays as it is", async () => {
    const gateway = await RouterHost.start(base);
    const stream = gateway.router.stream().requestHeaders(
      [
        [":method", "GET"],
        [":path", "/"],
      ],
      { endOfStream: true },
    );
    expect(answerOf(envoySays(stream, "no_healthy_upstream", 503)).text).toBe("upstream connect error");
  });

  it("is told from an upstream's, which stays as it is", async () => {
    const gateway = await RouterHost.start(base);
    const stream = gateway.send('{"model":"gpt-4o"}');
    const text = "no healthy upstream";
    stream.responseHeaders({ ":status": "503", "content-length": String(text.length) });
    expect(answerOf(stream.responseBody(text, { endOfStream: true })).text).toBe(text);
  });
});
