import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Status, type Stream } from "../host/index.ts";
import "../host/matchers.ts";
import { base, chat, lengthOf, RouterHost, sent } from "./router-driver.ts";

/** A trap would end every stream of a worker, and a stream that is neither answered nor sent on hangs for ever: nothing may lead there. */

const everything = {
  ...base,
  accessLog: true,
  responseHeaders: true,
  tenantHeader: "x-tenant",
  onMissingModel: { target: "b" },
  targets: {
    a: {
      route: "a",
      upstreamModel: "model-of-a",
      host: "a.example",
      pathPrefix: { from: "/v1", to: "/a" },
      credential: { value: "key" },
    },
    b: { route: "b", host: "b.example", credential: { header: "x-api-key", value: "key" } },
    c: { route: "c" },
  },
  rules: [
    {
      name: "all",
      match: {
        models: ["m*"],
        apis: ["openai.chat", "gemini.generate"],
        paths: ["/"],
        headers: [{ name: "x-team", prefix: "r" }],
        tenants: ["t"],
        promptTokens: { atLeast: 1, below: 100_000 },
        images: true,
        tools: true,
        session: true,
        stream: true,
        lastUserMessage: "(?i)need(le)+s?$",
      },
      targets: [{ target: "a", weight: 3 }, { target: "c" }],
      stickyBy: "session",
      fallback: { targets: ["b"], firstByteTimeout: "1s" },
    },
    { name: "some", match: { models: ["m*"] }, targets: [{ target: "a" }], fallback: { targets: ["b", "c"] } },
  ],
};

const fullBody = (model = "m1", filler = 10) =>
  JSON.stringify({
    messages: [
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "data:" } },
          { type: "text", text: `${"x".repeat(filler)} 😀 needle` },
        ],
      },
    ],
    tools: [{}],
    session_id: "s",
    stream: true,
    model,
  });
const fullHeaders = (body: string): [string, string][] => [
  ...chat({ "content-length": lengthOf(body), "accept-encoding": "gzip", authorization: "Bearer client" }),
  ["x-tenant", "t"],
  ["x-team", "red"],
  ["x-llm-route", "evil"],
];

const form = '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm1\r\n--b--\r\n';

/** Requests of every kind with attempts and answers; all that were begun. */
function scenario(gateway: RouterHost): Stream[] {
  const body = fullBody();
  const streams: Stream[] = [];
  for (const [one, headers] of [
    [body, fullHeaders(body)],
    [fullBody("m2", 70_000), fullHeaders(fullBody("m2", 70_000))],
    ["{}", chat({ ":path": "/v1beta/models/m%201:generateContent?key=k" })],
    [form, chat({ ":path": "/v1/audio/translations", "content-type": "multipart/form-data; boundary=b" })],
    ['{"model":"llama-3-8b"}', chat()],
    ['{"messages":[]}', chat()],
    ['{"model":"unknown"}', chat()],
    ["{", chat()],
  ] as const) {
    const request = gateway.send(one, headers);
    streams.push(request);
    if (request.localReply || !request.upstream.headers) continue;
    for (const target of ["a", "c", "unknown"]) {
      const attempt = gateway.attempt(request, {
        target,
        chunks: [Buffer.from(one.slice(0, 40)), Buffer.from(one.slice(40))],
      });
      streams.push(attempt);
      attempt.responseHeaders({ ":status": "503" }, { endOfStream: true });
      attempt.end();
    }
    const last = gateway.attempt(request, { target: "b" });
    streams.push(last);
    gateway.answer(request, last, [
      'data: {"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
      "data: [DONE]\n\n",
    ]);
  }
  gateway.host.advance(1000);
  return streams;
}

const isOver = (stream: Stream) =>
  stream.upstream.ended || stream.localReply !== undefined || stream.resetDetails !== undefined;

describe("a host that fails", () => {
  it.each(["plain", "everything"])("at any hostcall, at any point, traps and hangs nothing (%s)", async (name) => {
    const config = name === "plain" ? base : everything;
    const names = new Set<string>();
    const whole = await RouterHost.start(config);
    for (const stream of scenario(whole)) for (const call of stream.trace) names.add(call.name);
    for (const call of whole.vm.contexts.values()) for (const entry of call.trace.entries) names.add(entry.name);
    names.add("proxy_send_local_response");
    expect(names.size).toBeGreaterThan(name === "plain" ? 8 : 12);
    const gateway = await RouterHost.start(config);
    for (const call of names) {
      for (const status of [Status.NotFound, Status.BadArgument, Status.InternalFailure]) {
        for (const times of [1, Number.POSITIVE_INFINITY]) {
          for (let nth = 1; nth <= 6; nth++) {
            const restore = gateway.host.faults.inject({ call, status, nth, times });
            const streams = scenario(gateway);
            restore();
            expect([call, nth, gateway.trapped]).toEqual([call, nth, false]);
            // Without an answer nothing can be said to the client.
            if (call !== "proxy_send_local_response")
              expect([call, status, nth, streams.every(isOver)]).toEqual([call, status, nth, true]);
            for (const stream of streams) stream.end();
          }
        }
      }
    }
    const bodies = (router: RouterHost) => scenario(router).map((stream) => stream.upstream.text.length);
    expect(bodies(gateway)).toEqual(bodies(whole));
  });

  it("for want of memory for its bytes goes on with the next request", async () => {
    for (const config of [base, everything]) {
      const gateway = await RouterHost.start(config);
      for (let nth = 1; nth < 30; nth++) {
        gateway.host.faults.failAllocation = nth;
        for (const stream of scenario(gateway)) stream.end();
        gateway.host.faults.failAllocation = 0;
        expect([nth, gateway.trapped]).toEqual([nth, false]);
        expect(sent(gateway.send('{"model":"llama-3-8b"}')).route).toBe("llama3");
      }
    }
  });
});

describe("a peer that sends anything", () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
  const value = bytes(40).map((array) => array.toString("latin1").replace(/[\0\r\n]/g, ""));
  const path = fc.oneof(
    value.map((text) => `/${text}/chat/completions`),
    value.map((text) => `/v1beta/models/${text}:generateContent?${text}`),
    fc.constantFrom("/v1/messages", "/v1/audio/speech", "", "?", "/", "/chat/completions?key=&&key"),
  );
  const type = fc.oneof(
    fc.constantFrom(
      "application/json",
      "multipart/form-data",
      "multipart/form-data; boundary=b",
      'multipart/form-data;boundary="',
    ),
    value.map((text) => `multipart/form-data; ${text}`),
    value,
  );
  const pieces = fc.oneof(
    bytes(80),
    fc.constantFrom(fullBody(), form).chain((text) =>
      fc.array(fc.tuple(fc.nat(text.length - 1), fc.nat(255)), { maxLength: 4 }).map((flips) => {
        const mutated = Buffer.from(text);
        for (const [at, byte] of flips) mutated[at] = byte;
        return mutated;
      }),
    ),
  );
  const cuts = fc.array(fc.nat(400), { maxLength: 4 });

  function cut(body: Buffer, at: number[]): Buffer[] {
    const borders = [0, ...at.map((one) => Math.min(one, body.length)).sort((a, b) => a - b), body.length];
    return borders.slice(1).map((end, i) => body.subarray(borders[i], end));
  }

  it("traps nothing, hangs nothing, and gets the same answer however it cuts its body", async () => {
    const gateway = await RouterHost.start(everything);
    const request = fc.record({
      path,
      type,
      body: pieces,
      cuts,
      tenant: value,
      length: fc.constantFrom("", "5", "-1", "1e9", "9999999999999999999"),
    });
    fc.assert(
      fc.property(request, ({ path: target, type: contentType, body, cuts: at, tenant, length }) => {
        const headers = [
          ...chat({ ":path": target, "content-type": contentType }),
          ["x-tenant", tenant],
          ["content-length", length],
        ] as const;
        const ask = (chunks: Buffer[]) =>
          gateway.router.exchange({ headers, body: chunks }, () => ({ headers: { ":status": "200" }, body: chunks }));
        const [whole, divided] = [ask([body]), ask(cut(body, at))];
        expect([isOver(whole), isOver(divided), gateway.trapped]).toEqual([true, true, false]);
        expect(sent(divided)).toEqual(sent(whole));
        // The answer was the request's body: it comes back as it is.
        if (!whole.localReply)
          expect(Buffer.from(divided.downstream.body).equals(Buffer.from(whole.upstream.headers ? body : ""))).toBe(
            true,
          );
      }),
      { numRuns: 3000 },
    );
  });

  it("traps no attempt, whatever its endpoint and its handle say", async () => {
    const gateway = await RouterHost.start(everything);
    const noise = fc.record({ metadata: bytes(40), handle: bytes(20), body: pieces, cuts, keep: fc.boolean() });
    fc.assert(
      fc.property(noise, ({ metadata, handle, body, cuts: at, keep }) => {
        const request = gateway.send(fullBody(), fullHeaders(fullBody()));
        if (!keep) request.setProperty("tokenmesh.plan", handle);
        const attempt = gateway.attempt(request, { metadata, chunks: cut(body, at) });
        expect([isOver(attempt), gateway.trapped]).toEqual([true, false]);
        attempt.responseHeaders({ ":status": "200" }).responseBody("x", { endOfStream: true });
        attempt.end();
        request.end();
      }),
      { numRuns: 1000 },
    );
  });
});

describe("memory", () => {
  it.each([
    ["plain chats", base, "gpt-4o"],
    ["planned chats with every condition", everything, "m1"],
  ])("is flat over 3,000 %s", async (_name, config, model) => {
    const gateway = await RouterHost.start(config);
    const body = fullBody(model, 4000);
    expect(gateway.vm).toHaveFlatMemory(3000, () => {
      const request = gateway.send(body, fullHeaders(body));
      gateway.attempt(request, { target: "c" }).end();
      gateway.answer(
        request,
        gateway.attempt(request, { target: "b" }),
        '{"usage":{"prompt_tokens":3,"completion_tokens":2}}',
      );
    });
    expect(gateway.trapped).toBe(false);
  });

  it("is flat over 3,000 forms, Gemini calls, refusals and aborts", async () => {
    const gateway = await RouterHost.start(everything);
    expect(gateway.vm).toHaveFlatMemory(3000, (round) => {
      gateway.send(form, chat({ "content-type": "multipart/form-data; boundary=b" })).end();
      gateway.send("{}", chat({ ":path": `/v1beta/models/m${round}:generateContent` })).end();
      gateway.send(`{"model":"unknown-${round}"}`);
      gateway.send("{");
      gateway.router.stream().requestHeaders(chat()).end();
    });
  });
});
