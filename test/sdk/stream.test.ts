import { describe, expect, test } from "vitest";
import { LoadError } from "../host/index.ts";
import { notesOf, requestHeaders, startFixture } from "./fixture.ts";
import "../host/matchers.ts";

const control = (spec = {}, options = {}) => startFixture("control", spec, options);

describe("local response", () => {
  test("goes through the response callbacks and ends the stream", async () => {
    const { plugin } = await control();
    const stream = plugin.exchange({ headers: requestHeaders("respond"), body: "ignored" });
    expect(notesOf(stream)).toEqual(["respond 0", "response headers", "log", "done", "delete"]);
    expect(stream).toHaveSentLocalResponse(429, "{}");
    expect(stream.downstream.headers?.toObject()).toEqual({
      ":status": "429",
      "x-extra": "1",
      "content-type": "application/json",
      "content-length": "2",
    });
    expect(stream.localReply?.details).toBe("too_many");
    expect(stream.upstream.headers).toBeUndefined();
  });

  test("to a gRPC request is a gRPC status", async () => {
    const { plugin } = await control();
    const stream = plugin.exchange({
      headers: requestHeaders("grpc", { "content-type": "application/grpc" }),
      body: "x",
    });
    expect(stream.downstream.headers?.toObject()).toEqual({
      ":status": "200",
      "content-type": "application/grpc",
      "grpc-status": "8",
      "grpc-message": "no quota",
    });
    expect(stream.downstream.text).toBe("");
  });
});

describe("stream control", () => {
  test("a tick resumes a paused stream through the effective context", async () => {
    const { host, plugin } = await control();
    const stream = plugin.stream().requestHeaders(requestHeaders("resume"), { endOfStream: true });
    expect(stream).toPause();
    host.advance(99);
    expect(stream).toPause();
    host.advance(1);
    expect(stream).toContinue();
    expect(stream.upstream.ended).toBe(true);
    expect(notesOf(stream)).toContain("resume 0");
  });

  test("a tick answers a paused stream", async () => {
    const { host, plugin } = await control();
    const stream = plugin.stream().requestHeaders(requestHeaders("tick"), { endOfStream: true });
    host.advance(100);
    expect(stream).toHaveSentLocalResponse(418, /tick/);
    expect(stream.ended).toBe(true);
  });

  test("close resets", async () => {
    const { plugin } = await control();
    const stream = plugin.exchange({ headers: requestHeaders("close"), body: "x" });
    expect(stream.resetDetails).toBe("wasm_close_stream");
    expect(notesOf(stream)).toEqual(["close 0", "log", "done", "delete"]);
  });

  test("unknown contexts, stream types and a needless done are statuses", async () => {
    const { plugin } = await control();
    expect(notesOf(plugin.exchange({ headers: requestHeaders("misuse"), body: "x" })).slice(0, 3)).toEqual([
      "effective 2",
      "upstream 12 2 2",
      "done 1",
    ]);
  });

  test("a client that goes away still ends the stream properly", async () => {
    const { host, plugin } = await control();
    const stream = plugin.stream().requestHeaders(requestHeaders("resume"));
    stream.end();
    expect(notesOf(stream)).toEqual(["log", "done", "delete"]);
    host.advance(1000);
    expect(host.logs.map(({ message }) => message)).toContain("effective 2");
  });
});

describe("root contexts", () => {
  test("a configuration can be refused, at start and as an update", async () => {
    await expect(control({ config: "refuse" })).rejects.toThrow(LoadError);
    const { plugin } = await control({ config: "plain" });
    expect(plugin.update("refuse")).toMatchObject({ accepted: false });
    expect(plugin.exchange({ headers: requestHeaders("") }).ended).toBe(true);
  });

  test("an update makes a new root; the old one is finished when its last stream ends", async () => {
    const { host, plugin } = await control({ config: "plain" });
    const rootNotes = (): string[] =>
      host.logs
        .filter(({ message, thread }) => thread === 1 && message.startsWith("root"))
        .map(({ message }) => message);
    const first = plugin.rootId();
    const stream = plugin.stream().requestHeaders(requestHeaders(""));
    expect(plugin.update("other")).toEqual({ accepted: true });
    expect(plugin.rootId()).toBeGreaterThan(first);
    expect(rootNotes()).toEqual([]);
    stream.end();
    expect(rootNotes()).toEqual(["root done false", "root delete"]);
  });

  test("a root that answers false to done lives until proxy_done", async () => {
    const { host, plugin } = await control({ config: "late" });
    plugin.update("plain");
    expect(host.pendingDone.size).toBe(2);
    plugin.exchange({ headers: requestHeaders("finish"), body: "x" });
    host.advance(200);
    expect(host.logs.map(({ message }) => message)).toContain("finish 0");
    // The worker's root is gone; the one of the main thread saw no request.
    expect(host.pendingDone.size).toBe(1);
  });

  test("an unknown root id is refused with a reason", async () => {
    await expect(control({ rootId: "nobody" })).rejects.toThrow(LoadError);
  });

  test("plugins share a VM when code, vm_id and configuration agree", async () => {
    const { host, plugin } = await control({ name: "one", config: "plain" });
    const created = host.stats.get("wasm.envoy.wasm.runtime.v8.created") ?? 0;
    const second = host.plugin({ name: "two", rootId: "control", config: "other" });
    // Only the canary of the second.
    expect(host.stats.get("wasm.envoy.wasm.runtime.v8.created")).toBe(created + 1);
    expect(second.rootId()).not.toBe(plugin.rootId());
    expect(second.exchange({ headers: requestHeaders("respond") })).toHaveSentLocalResponse(429);
  });
});

describe("traps", () => {
  test.each(["trap", "assert", "deep"])("%s kills the VM: 503 for this and every stream of the worker", async (op) => {
    const { host, plugin } = await control({}, { workers: 2 });
    const bystander = plugin.stream().requestHeaders(requestHeaders(""));
    const other = plugin.stream({ worker: 1 }).requestHeaders(requestHeaders(""));
    const stream = plugin.stream().requestHeaders(requestHeaders(op)).requestBody("x");
    // These pause on headers, so the body callback is what traps.
    expect(stream).toHaveSentLocalResponse(503);
    bystander.requestBody("x", { endOfStream: true });
    expect(bystander).toHaveSentLocalResponse(503);
    expect(plugin.exchange({ headers: requestHeaders("") })).toHaveSentLocalResponse(503);
    other.requestBody("x", { endOfStream: true });
    expect(other.upstream.ended).toBe(true);
    expect(
      host.logs.some(({ level, message }) => level === "critical" && message.includes("proxy_on_request_body failed")),
    ).toBe(true);
  });

  test("abort says where", async () => {
    const { host, plugin } = await control();
    plugin.exchange({ headers: requestHeaders("assert"), body: "x" });
    const [message] = host.logs.filter(({ level }) => level === "critical").map((record) => record.message);
    expect(message).toMatch(/^abort: the body is not negative at test\/sdk\/wasm\/sdk-control\.ts:\d+:\d+$/);
  });

  test("FAIL_RELOAD makes a new VM after the backoff", async () => {
    const { host, plugin } = await control({ failurePolicy: "FAIL_RELOAD" });
    plugin.exchange({ headers: requestHeaders("trap"), body: "x" });
    expect(plugin.exchange({ headers: requestHeaders("") })).toHaveSentLocalResponse(503);
    expect(host.stats.get("wasm.control.vm_reload_backoff")).toBe(1);
    host.advance(1500);
    expect(plugin.exchange({ headers: requestHeaders("") }).localReply).toBeUndefined();
    expect(host.stats.get("wasm.control.vm_reload_success")).toBe(1);
  });
});
