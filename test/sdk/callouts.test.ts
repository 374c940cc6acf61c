import { describe, expect, test } from "vitest";
import { notesOf, requestHeaders, saidBy, startFixture } from "./fixture.ts";
import "../host/matchers.ts";

const callouts = (spec = {}, options = {}) => startFixture("callouts", spec, options);

describe("HTTP callouts", () => {
  test("the answer reaches the stream that asked", async () => {
    const { host, plugin } = await callouts();
    host.callouts.onHttpCall("auth", () => ({
      headers: { ":status": "200", "x-a": "1" },
      body: "yes",
      trailers: { t: "1" },
      delayMs: 30,
    }));
    const stream = plugin.stream().requestHeaders(requestHeaders("http"), { endOfStream: true });
    expect(stream).toPause();
    const [call] = host.callouts.http;
    expect(call?.headers.toObject()).toEqual({
      ":method": "POST",
      ":path": "/check",
      ":authority": "auth",
      "content-length": "8",
    });
    expect(new TextDecoder().decode(call?.body)).toBe("question");
    host.advance(30);
    expect(stream).toContinue();
    expect(notesOf(stream)).toEqual(["start 0", "answer 2 200 yes 1"]);
    expect(saidBy(stream)).toEqual({ answer: "200" });
  });

  test("a refused connection and a timeout are answers of Envoy, a broken one has no headers", async () => {
    const { host, plugin } = await callouts();
    const outcome = (how: "refuse" | "timeout" | "reset"): string | undefined => {
      host.callouts.onHttpCall("auth", () => how);
      const stream = plugin.stream().requestHeaders(requestHeaders("http"), { endOfStream: true });
      host.advance(1000);
      expect(stream).toContinue();
      return notesOf(stream)[1];
    };
    expect(outcome("refuse")).toMatch(/^answer 1 503 /);
    expect(outcome("timeout")).toBe("answer 1 504 upstream request timeout 0");
    expect(outcome("reset")).toBe("answer 0   0");
  });

  test("an answer after the end of the stream reaches nobody", async () => {
    const { host, plugin } = await callouts();
    host.callouts.onHttpCall("auth", () => "hold");
    const stream = plugin.stream().requestHeaders(requestHeaders("http"), { endOfStream: true });
    stream.end();
    host.callouts.http[0]?.respond({ body: "late" });
    expect(notesOf(stream)).toEqual(["start 0"]);
    const next = plugin.exchange({ headers: requestHeaders("") });
    expect(next.ended).toBe(true);
  });

  test("answers in another order find their streams", async () => {
    const { host, plugin } = await callouts();
    host.callouts.onHttpCall("auth", () => "hold");
    const streams = [1, 2, 3].map(() => plugin.stream().requestHeaders(requestHeaders("http"), { endOfStream: true }));
    for (const index of [2, 0, 1]) host.callouts.http[index]?.respond({ headers: { ":status": `20${index}` } });
    expect(streams.map((stream) => saidBy(stream).answer)).toEqual(["200", "201", "202"]);
  });

  test("what cannot start is a status", async () => {
    const { host, plugin } = await callouts();
    host.callouts.onHttpCall("auth", () => "hold");
    expect(notesOf(plugin.exchange({ headers: requestHeaders("http-misuse") }))).toEqual([
      "no path 2",
      "no cluster 2",
      "negative 2",
      "outside 6",
    ]);
    expect(host.callouts.http).toEqual([]);
  });
});

describe("gRPC", () => {
  test("a call answers with its message", async () => {
    const { host, plugin } = await callouts();
    host.callouts.onGrpcCall("limits", () => ({ messages: ["allowed"] }));
    const stream = plugin.stream().requestHeaders(requestHeaders("grpc"), { endOfStream: true });
    expect(notesOf(stream)).toEqual(["start 0", "message 0 allowed 7"]);
    expect(host.callouts.grpc[0]).toMatchObject({ method: "pkg.Limits/Check", initialMetadata: [["x-meta", "1"]] });
    expect(stream).toContinue();
  });

  test("or with a status, also after its timeout", async () => {
    const { host, plugin } = await callouts();
    host.callouts.onGrpcCall("limits", () => ({ status: 8, message: "no more" }));
    const refused = plugin.stream().requestHeaders(requestHeaders("grpc"), { endOfStream: true });
    expect(notesOf(refused)).toEqual(["start 0", "close 8 8 no more"]);
    host.callouts.onGrpcCall("limits", () => "hold");
    const slow = plugin.stream().requestHeaders(requestHeaders("grpc"), { endOfStream: true });
    host.advance(500);
    expect(notesOf(slow)).toEqual(["start 0", "close 4 4 timeout"]);
  });

  test("a stream sends, receives everything in order, and closes", async () => {
    const { host, plugin } = await callouts();
    host.callouts.onGrpcCall("limits", () => ({
      initialMetadata: { "x-i": "i" },
      messages: ["m1", "m2"],
      trailingMetadata: { "x-t": "t" },
      message: "bye",
      delayMs: 1,
    }));
    const stream = plugin.stream().requestHeaders(requestHeaders("grpc-stream"), { endOfStream: true });
    host.advance(1);
    expect(notesOf(stream)).toEqual([
      "open 0",
      "send 00",
      "initial 1 0 i 1",
      "message 0 m1 2",
      "message 0 m2 2",
      "trailing 1 0 t 1",
      "close 0 0 bye",
    ]);
    expect(host.callouts.grpc[0]?.sent.map((one) => new TextDecoder().decode(one))).toEqual(["one", "two"]);
    expect(host.callouts.grpc[0]?.localClosed).toBe(true);
  });

  test("misuse is a status", async () => {
    const { host, plugin } = await callouts();
    host.callouts.onGrpcCall("limits", () => "hold");
    expect(notesOf(plugin.exchange({ headers: requestHeaders("grpc-misuse") }))).toEqual([
      "cluster 4",
      "unknown 111",
      "not grpc 222",
      "cancel 01",
    ]);
  });
});
