import { describe, expect, it } from "vitest";
import { Status, splits } from "../host/index.ts";
import "../host/matchers.ts";
import { chat, lengthOf, RouterHost, sent } from "./router-driver.ts";

/** The model's name in the body of an attempt, wherever it stands and however Envoy cuts the body, and the answer that is held. */

const targets = {
  long: { route: "long", host: "l.example", upstreamModel: 'a "much" longer name' },
  short: { route: "short", host: "s.example", upstreamModel: "s" },
  same: { route: "same", host: "k.example" },
};
const config = {
  maxBodyBytes: 32 << 20,
  targets,
  onMissingModel: { target: "long" },
  onUnknownModel: { target: "short" },
  rules: [
    { name: "long", match: { models: ["to-long*"] }, targets: [{ target: "long" }] },
    { name: "short", match: { models: ["to-short*"] }, targets: [{ target: "short" }] },
    { name: "same", match: { models: ["to-same*"] }, targets: [{ target: "same" }] },
    { name: "acme", match: { provider: "acme" }, targets: [{ target: "same" }] },
  ],
};
const long = '"a \\"much\\" longer name"';

const edits: [name: string, body: string, expected: string][] = [
  ["a longer name", '{"model":"to-long","n":1}', `{"model":${long},"n":1}`],
  ["a shorter name", '{"messages":[],"model" : "to-short"}', '{"messages":[],"model" : "s"}'],
  ["the client's name", '{"model":"to-same"}', '{"model":"to-same"}'],
  ["the name without its provider", '{"model":"acme\\/é"}', '{"model":"é"}'],
  ["the name that the client has, in another writing", '{"model":"\\u0074o-same"}', '{"model":"\\u0074o-same"}'],
  ["no name", '{"n":1}', `{"model":${long},"n":1}`],
  ["no members", " { } ", ` {"model":${long} } `],
  ["a name that is null", '{"n":1,"model":null}', `{"n":1,"model":${long}}`],
  ["a name that is too long", `{"model":"${"x".repeat(300)}"}`, '{"model":"s"}'],
  ["a broken name", '{"model":"\\ud800"}', '{"model":"s"}'],
];

describe("the name in a JSON body", () => {
  it.each(edits)("%s, in any pieces", async (_name, body, expected) => {
    const gateway = await RouterHost.start(config);
    const request = gateway.send(body);
    expect(sent(request)).toMatchObject({ body, length: lengthOf(body) });
    for (const { name, chunks } of splits(body)) {
      const attempt = gateway.attempt(request, { chunks });
      expect([name, sent(attempt).body, sent(attempt).length]).toEqual([name, expected, lengthOf(expected)]);
    }
    // Envoy ends a body with an empty frame as well.
    const attempt = gateway.attempt(request, { chunks: [Buffer.from(body), Buffer.alloc(0)] });
    expect(sent(attempt).body).toBe(expected);
  });

  it("of a body of any size, in one piece or in many", async () => {
    const gateway = await RouterHost.start(config);
    const pad = JSON.stringify("x".repeat(10)).repeat(1);
    for (const size of [1, 60_000, 65_500, 65_520, 65_536, 131_072, 1 << 20]) {
      const filler = `"pad":${pad.slice(0, -1)}${"y".repeat(size)}"`;
      for (const body of [
        `{"model":"to-long",${filler}}`,
        `{${filler},"model":"to-long"}`,
        `{${filler},"model":"to-short","n":1}`,
      ]) {
        const request = gateway.send(body);
        const expected = body.replace('"to-long"', () => long).replace('"to-short"', '"s"');
        for (const step of [body.length, 65_536, 16_384]) {
          const chunks: Buffer[] = [];
          for (let at = 0; at < body.length; at += step) chunks.push(Buffer.from(body.slice(at, at + step)));
          const attempt = gateway.attempt(request, { chunks });
          expect(attempt.upstream.text === expected).toBe(true);
          expect(sent(attempt).length).toBe(lengthOf(expected));
          attempt.end();
        }
        request.end();
      }
    }
  });

  it("is written in place of one that only looks like it: cut at 256 bytes, or half a surrogate pair", async () => {
    for (const [asked, upstreamModel] of [
      ["x".repeat(300), "x".repeat(256)],
      ["\\ud800", "\ufffd"],
    ]) {
      for (const host of [{}, { host: "t.example" }]) {
        const gateway = await RouterHost.start({
          models: [{ model: "m", route: "m" }],
          targets: { t: { route: "t", upstreamModel, ...host } },
          onUnknownModel: { target: "t" },
        });
        const attempt = gateway.attempt(gateway.send(`{"model":"${asked}"}`));
        expect(sent(attempt).body).toBe(JSON.stringify({ model: upstreamModel }));
      }
    }
  });

  it("that cannot be written ends the attempt: no other name goes out", async () => {
    const gateway = await RouterHost.start(config);
    for (const call of ["proxy_set_buffer_bytes", "proxy_get_buffer_bytes"]) {
      const request = gateway.send('{"model":"to-long"}');
      const restore = gateway.host.faults.inject({ call, status: Status.BadArgument });
      const attempt = gateway.attempt(request);
      expect(attempt).toHaveSentLocalResponse(500, /body_unreadable/);
      expect(attempt.upstream.text).toBe("");
      restore();
    }
  });

  it("is kept when the body was not read", async () => {
    const gateway = await RouterHost.start({
      ...config,
      onMalformedBody: { target: "long" },
      onBodyTooLarge: { target: "long" },
      maxBodyBytes: 20,
    });
    for (const body of ['{"model":', '{"model":"to-short","n":1}']) {
      const request = gateway.send(body);
      const attempt = gateway.attempt(request);
      expect(sent(attempt)).toMatchObject({ host: "l.example", body, length: lengthOf(body) });
    }
  });
});

describe("the name in a form", () => {
  const type = "multipart/form-data; boundary=XyZ";
  const form = (model: string) =>
    [
      "--XyZ",
      'Content-Disposition: form-data; name="file"; filename="a.wav"',
      "Content-Type: audio/wav",
      "",
      'RIFF\u0000\u0001"model" --XyZ-',
      "--XyZ",
      'Content-Disposition: form-data; name="model"',
      "",
      model,
      "--XyZ--",
      "",
    ].join("\r\n");

  it("is replaced as it stands, in any pieces", async () => {
    const gateway = await RouterHost.start(config);
    for (const [asked, written] of [
      ["to-long", 'a "much" longer name'],
      ["to-short-1", "s"],
      ["acme/é", "é"],
    ] as const) {
      const request = gateway.send(
        form(asked),
        chat({ ":path": "/v1/audio/transcriptions", "content-type": type, "content-length": lengthOf(form(asked)) }),
      );
      for (const { name, chunks } of splits(form(asked))) {
        const attempt = gateway.attempt(request, { chunks });
        expect([name, sent(attempt).body, sent(attempt).length]).toEqual([
          name,
          form(written),
          lengthOf(form(written)),
        ]);
      }
    }
  });
});

describe("the answer", () => {
  const pool = (firstByteTimeout?: string) =>
    RouterHost.start({
      targets,
      rules: [
        {
          name: "r",
          targets: [{ target: "long" }],
          fallback: { targets: ["same"], ...(firstByteTimeout && { firstByteTimeout }) },
        },
      ],
    });

  it("with a first-byte time-out is held until its first byte, so that headers alone do not count", async () => {
    const gateway = await pool("500ms");
    for (const status of ["200", "201", "299"]) {
      const attempt = gateway.attempt(gateway.send('{"model":"m"}'), { target: "long" });
      attempt.responseHeaders({ ":status": status, "x-a": "1" });
      expect(attempt).toPause("response");
      expect(attempt.downstream.headers).toBeUndefined();
      attempt.responseBody("da", {});
      expect(attempt.downstream.text).toBe("da");
      expect(attempt).toHaveHeader("response", "x-a", "1");
      attempt.responseBody("ta", { endOfStream: true });
      expect(attempt.downstream.text).toBe("data");
    }
  });

  it.each(["100", "302", "404", "429", "500", "503"])("with status %s is not held", async (status) => {
    const gateway = await pool("500ms");
    const attempt = gateway.attempt(gateway.send('{"model":"m"}'), { target: "same" });
    attempt.responseHeaders({ ":status": status });
    expect(attempt.downstream.headers?.get(":status")).toBe(status);
  });

  it("without a body, or with trailers only, is not held for ever", async () => {
    const gateway = await pool("500ms");
    const request = gateway.send('{"model":"m"}');
    const empty = gateway.attempt(request, { target: "same" });
    empty.responseHeaders({ ":status": "204" }, { endOfStream: true });
    expect(empty.downstream.ended).toBe(true);
    const trailers = gateway.attempt(request, { target: "same" });
    trailers.responseHeaders({ ":status": "200" }).responseTrailers({ "grpc-status": "0" });
    expect(trailers.downstream.ended).toBe(true);
    expect(trailers.downstream.headers?.get(":status")).toBe("200");
  });

  it("is not held without a time-out, without a fallback, or when its request is over", async () => {
    const gateway = await pool();
    const attempt = gateway.attempt(gateway.send('{"model":"m"}'), { target: "same" });
    expect(attempt.responseHeaders({ ":status": "200" })).toContinue("response");
    const alone = await RouterHost.start(config);
    expect(alone.attempt(alone.send('{"model":"to-long"}')).responseHeaders({ ":status": "200" })).toContinue(
      "response",
    );
    const timed = await pool("10s");
    const request = timed.send('{"model":"m"}');
    const late = timed.attempt(request, { target: "same" });
    request.end();
    expect(late.responseHeaders({ ":status": "200" })).toContinue("response");
  });
});
