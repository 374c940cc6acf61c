import fc from "fast-check";
import { expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { chat, type Headers, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** Streams are pooled and readers are shared: no request may see anything of another one, before it or beside it. */

const config = {
  accessLog: true,
  responseHeaders: true,
  tenantHeader: "x-tenant",
  onUnknownModel: { target: "spare" },
  models: [
    { model: "gpt-4o", route: "gpt4", upstreamModel: "renamed" },
    { model: "gemini-*", route: "gemini" },
    { model: "whisper", route: "whisper" },
  ],
  targets: {
    tenant: { route: "tenant", upstreamModel: "of-the-tenant" },
    images: { cluster: "images" },
    spare: { route: "spare", host: "spare.example", upstreamModel: "spare" },
    needle: { route: "needle" },
  },
  rules: [
    { name: "tenant", match: { tenants: ["t"] }, targets: [{ target: "tenant" }] },
    { name: "images", match: { images: true }, targets: [{ target: "images" }] },
    { name: "needle", match: { lastUserMessage: "needle" }, targets: [{ target: "needle" }] },
    { name: "acme", match: { provider: "acme", stream: true }, targets: [{ target: "images" }] },
  ],
};

interface Exchange {
  headers: Headers;
  body: string;
  answer: string[];
  trailers?: boolean;
}
const user = (content: unknown, more: object = {}) =>
  JSON.stringify({ messages: [{ role: "user", content }], ...more });
const form = '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--';
const exchanges: Exchange[] = [
  {
    headers: chat({ "x-tenant": "t" }),
    body: '{"model":"any"}',
    answer: ['{"usage":{"prompt_tokens":7,"completion_tokens":3}}'],
  },
  { headers: chat({ "content-length": "18" }), body: '{"model":"gpt-4o"}', answer: ["{}"] },
  {
    headers: chat(),
    body: user("a needle", { model: "gpt-4o" }),
    answer: ['data: {"usage":{"prompt_tokens":1', ',"completion_tokens":2}}\n\n'],
  },
  { headers: chat(), body: user([{ type: "image_url" }], { model: "gpt-4o" }), answer: ["{}"], trailers: true },
  { headers: chat(), body: '{"stream":true,"model":"acme/x"}', answer: ["data: {}\n\n", "data: [DONE]\n\n"] },
  { headers: chat(), body: '{"model":"unknown"}', answer: ["{}"] },
  { headers: chat({ ":path": "/v1/messages" }), body: "{", answer: [] },
  { headers: chat({ ":path": "/v1/messages" }), body: '{"messages":[]}', answer: [] },
  {
    headers: chat({ ":path": "/v1beta/models/gemini-x:streamGenerateContent" }),
    body: '{"contents":[]}',
    answer: ['{"usageMetadata":{"promptTokenCount":5}}'],
  },
  {
    headers: chat({ ":path": "/v1/audio/translations", "content-type": "multipart/form-data; boundary=b" }),
    body: form,
    answer: ['{"text":"x"}'],
  },
  {
    headers: [
      [":method", "POST"],
      [":path", "/other"],
      [":authority", "a"],
      ["x-llm-route", "evil"],
    ],
    body: '{"model":"gpt-4o"}',
    answer: ["x"],
  },
  { headers: chat(), body: `{"a":1,"model":"gpt-4o","b":"${"y".repeat(70_000)}"}`, answer: ["{}"] },
  { headers: chat(), body: user("x".repeat(70_000), { model: "gpt-4o" }), answer: ["{}"] },
];

/** The steps of one exchange, to be taken one at a time. */
function* steps({ headers, body, answer, trailers }: Exchange, stream: Stream): Generator<void> {
  stream.requestHeaders(headers);
  yield;
  for (let at = 0; at < body.length; at += 30_000) {
    stream.requestBody(body.slice(at, at + 30_000), {});
    yield;
  }
  if (trailers) stream.requestTrailers({ "x-end": "1" });
  else stream.requestBody("", { endOfStream: true });
  yield;
  if (!stream.upstream.ended) return;
  stream.responseHeaders({ ":status": "200" });
  for (const piece of answer) {
    yield;
    stream.responseBody(piece, {});
  }
  yield;
  stream.responseBody("", { endOfStream: true });
}

const seen = (stream: Stream) =>
  JSON.stringify([
    refusalOf(stream),
    sent(stream),
    stream.upstream.headers?.pairs(),
    stream.downstream.headers?.pairs(),
    stream.downstream.text,
    Buffer.from(stream.filterState("llm") ?? []).toString(),
    stream.trace.map(({ name }) => name),
  ]);

it("every exchange is what it is alone, in any order and interleaved with any other", async () => {
  const alone: string[] = [];
  for (const exchange of exchanges) {
    const gateway = await RouterHost.start(config);
    // The first plan of a VM asks the clock. Its stream stays open, or the next one would have its place.
    gateway.send('{"model":"unknown"}');
    const stream = gateway.router.stream();
    for (const _ of steps(exchange, stream));
    alone.push(seen(stream));
  }
  expect(new Set(alone).size).toBe(exchanges.length);

  const gateway = await RouterHost.start(config);
  gateway.send('{"model":"unknown"}').end();
  const some = fc.array(fc.tuple(fc.nat(exchanges.length - 1), fc.boolean()), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(some, fc.infiniteStream(fc.nat()), (chosen, turns) => {
      const running = chosen.map(([index, aborts]) => {
        const stream = gateway.router.stream();
        return { index, aborts, stream, rest: steps(exchanges[index] as Exchange, stream) };
      });
      const open = [...running];
      while (open.length > 0) {
        const turn = turns.next().value as number;
        const one = open[turn % open.length];
        if (!one) break;
        const aborted = one.aborts && turn % 7 === 0;
        if (aborted) one.stream.end();
        if (!aborted && !one.rest.next().done) continue;
        open.splice(open.indexOf(one), 1);
        if (!aborted) expect(seen(one.stream)).toBe(alone[one.index]);
        one.stream.end();
      }
      // Statistics are written by the tick, not by whoever finds their queue full.
      gateway.host.advance(1000);
      expect(gateway.trapped).toBe(false);
    }),
    { numRuns: 300 },
  );
});
