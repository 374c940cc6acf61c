import { describe, expect, it } from "vitest";
import { type ApiName, apiNames, cachedApis, streamingApis } from "./cache-apis.ts";
import { type Answer, CacheHost, document, events, open, say, seen } from "./cache-driver.ts";
import { isKept } from "./cache-sharing.ts";
import type { Headers } from "./router-driver.ts";

/** Answers that nobody else may ever get. */

const sse = "text/event-stream";
const stream = (pieces: readonly string[]): Answer => ({ type: sse, pieces });
const to = (name: ApiName): Headers => [[":path", cachedApis[name].path]];

describe("an answer that is not kept", () => {
  it.each([
    100, 201, 202, 203, 204, 206, 301, 304, 307, 400, 401, 403, 404, 408, 409, 422, 429, 499, 500, 501, 502, 503, 504,
    529, 599,
  ])("has status %i", async (status) => {
    const cache = await CacheHost.start();
    expect(isKept(cache, say("q"), { status: String(status), pieces: [document("x")] })).toBe(false);
    expect(isKept(cache, say("q"), { status: String(status), pieces: [] })).toBe(false);
  });

  it.each(apiNames)("is a document of %s that is cut anywhere", async (name) => {
    const api = cachedApis[name];
    const cache = await CacheHost.start();
    const text = api.document("xy");
    for (let end = 0; end < text.length; end++)
      expect([end, isKept(cache, api.request("q"), text.slice(0, end), to(name))]).toEqual([end, false]);
    expect(isKept(cache, api.request("q"), text, to(name))).toBe(true);
  });

  it.each(streamingApis)("is a stream of %s that ends before its last event, or in the middle of one", async (name) => {
    const api = cachedApis[name];
    const cache = await CacheHost.start();
    const body = { ...api.request("q"), stream: true };
    const list = api.stream("xy");
    for (let end = 0; end < list.length; end++) {
      expect([end, isKept(cache, body, stream(list.slice(0, end)), to(name))]).toEqual([end, false]);
      const half = (list[end] ?? "").slice(0, 12);
      expect([end, isKept(cache, body, stream([...list.slice(0, end), half]), to(name))]).toEqual([end, false]);
    }
    // The last event without its end is none.
    const last = (list.at(-1) ?? "").slice(0, -1);
    expect(isKept(cache, body, stream([...list.slice(0, -1), last.slice(0, -1)]), to(name))).toBe(false);
    expect(isKept(cache, body, stream(list), to(name))).toBe(true);
  });

  it.each(streamingApis)("is a stream of %s without one of its events that matters", async (name) => {
    const api = cachedApis[name];
    const cache = await CacheHost.start();
    const list = api.stream("xy");
    const matters = list.flatMap((one, index) =>
      /finish_reason":"stop|DONE|response\.completed|message_(start|delta|stop)|block_stop/.test(one) ? [index] : [],
    );
    expect(matters.length).toBeGreaterThan(0);
    for (const index of matters)
      expect([
        list[index],
        isKept(cache, { ...api.request("q"), stream: true }, stream(list.filter((_one, i) => i !== index)), to(name)),
      ]).toEqual([list[index], false]);
  });

  it.each(streamingApis)(
    "is a stream of %s with an error in it, and one behind whose end something comes",
    async (name) => {
      const api = cachedApis[name];
      const cache = await CacheHost.start();
      const body = { ...api.request("q"), stream: true };
      const list = api.stream("xy");
      const error =
        name === "messages"
          ? 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"m"}}\n\n'
          : 'data: {"error":{"message":"m","type":"server_error"}}\n\n';
      for (let at = 0; at <= list.length; at++)
        expect([at, isKept(cache, body, stream([...list.slice(0, at), error, ...list.slice(at)]), to(name))]).toEqual([
          at,
          false,
        ]);
      for (const more of [list[0] ?? "", "data: {}\n\n", "data: x\n\n", "x"])
        expect([more, isKept(cache, body, stream([...list, more]), to(name))]).toEqual([more, false]);
    },
  );

  it.each([
    ["an error with status 200", '{"error":{"message":"m"}}'],
    ["an error beside an answer", JSON.stringify({ ...JSON.parse(document("x")), error: { message: "m" } })],
    ["an error in a choice", document("x").replace('"index":0', '"index":0,"error":{"code":502}')],
    ["one that a filter ended", document("x").replace('"stop"', '"content_filter"')],
    ["one without an end", document("x").replace('"stop"', "null")],
    ["one with an end that nobody knows", document("x").replace('"stop"', '"error"')],
    ["a refusal", document("x").replace('"content":"x"', '"content":null,"refusal":"no"')],
    ["no choices", JSON.stringify({ ...JSON.parse(document("x")), choices: [] })],
    ["an empty object", "{}"],
    ["nothing", ""],
    ["null", "null"],
    ["an array", `[${document("x")}]`],
    ["two documents", document("x") + document("x")],
    ["a page", "<html></html>"],
    ["events in a document", events("x").join("")],
    ["an answer of another API", cachedApis.messages.document("x")],
    ["bytes behind it", `${document("x")}x`],
  ])("is %s", async (_name, text) => {
    const cache = await CacheHost.start();
    expect(isKept(cache, say("q"), { pieces: [text] })).toBe(false);
    expect(Object.keys(cache.counters("answers"))).toEqual(["rule=all;outcome=unfit"]);
  });

  it.each([
    ["messages", "a refusal", '"end_turn"', '"refusal"'],
    ["messages", "a pause", '"end_turn"', '"pause_turn"'],
    ["messages", "an error", '"type":"message"', '"type":"error"'],
    ["responses", "a failure", '"completed","model"', '"failed","model"'],
    ["responses", "one that waits", '"completed","model"', '"queued","model"'],
    ["responses", "one that runs", '"completed","model"', '"in_progress","model"'],
    ["responses", "one that was cancelled", '"completed","model"', '"cancelled","model"'],
    [
      "responses",
      "one that a filter ended",
      '"completed","model"',
      '"incomplete","incomplete_details":{"reason":"content_filter"},"model"',
    ],
    ["completions", "one that a filter ended", '"stop"', '"content_filter"'],
    ["embeddings", "none", '[{"object":"embedding","index":0,"embedding":[0.25,-1]}]', "[]"],
  ] as [ApiName, string, string, string][])("is of %s and %s", async (name, _what, from, into) => {
    const api = cachedApis[name];
    const cache = await CacheHost.start();
    const text = api.document("x");
    expect(text).toContain(from);
    expect(isKept(cache, api.request("q"), text.replace(from, into), to(name))).toBe(false);
    expect(isKept(cache, api.request("q"), text, to(name))).toBe(true);
  });

  it.each([
    [{ "cache-control": "no-store" }, false],
    [{ "cache-control": "private, No-Store" }, false],
    [{ "cache-control": "max-age=0, no-store, private" }, false],
    [{ "content-encoding": "gzip" }, false],
    [{ "content-encoding": "br" }, false],
    [{ "content-encoding": "identity" }, true],
    [{ "cache-control": "no-cache, private" }, true],
    [{ expires: "0", pragma: "no-cache", vary: "*" }, true],
  ] as [Record<string, string>, boolean][])("has headers %j: %s", async (headers, kept) => {
    const cache = await CacheHost.start();
    expect(isKept(cache, say("q"), { headers, pieces: [document("x")] })).toBe(kept);
  });

  it("is aborted by the client, or reset by the upstream, at any byte", async () => {
    const cache = await CacheHost.start();
    for (const [body, type, pieces] of [
      [say("d"), "application/json", [...document("x")]],
      [say("s", { stream: true }), sse, events("hello")],
    ] as const)
      for (let at = 0; at <= pieces.length; at++) {
        const first = cache.ask(body);
        expect(first.upstream.ended).toBe(true);
        first.responseHeaders({ ":status": "200", "content-type": type, a: "1", b: "2", c: "3", d: "4" });
        for (const piece of pieces.slice(0, at)) first.responseBody(piece);
        if (at % 2 === 0) first.end();
        else first.reset("upstream_reset_after_response_started{connection_termination}");
      }
    expect(cache.trapped).toBe(false);
    const early = cache.ask(say("d"));
    expect(early.upstream.ended).toBe(true);
    early.end();
    expect(cache.counters("requests")["rule=all;outcome=hit"]).toBeUndefined();
  });

  it("is one of Envoy itself", async () => {
    const cache = await CacheHost.start();
    const first = cache.ask(say("q"));
    first.reply({
      status: 503,
      details: "no_healthy_upstream",
      body: Buffer.from("no healthy upstream"),
      headers: [],
      grpcStatus: undefined,
    });
    expect(seen(first).status).toBe("503");
    expect(cache.call(say("q"), document("x"))).toMatchObject({ upstream: true, cache: "miss" });
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit" });
  });

  it("is larger than an entry may be", async () => {
    const cache = await CacheHost.start({ maxEntryBytes: 4_096, ...open() });
    const ofSize = (size: number) => document("x".repeat(size - document("").length));
    expect(isKept(cache, say("a"), ofSize(4_096 - 64 - 16))).toBe(true);
    expect(isKept(cache, say("b"), ofSize(4_097))).toBe(false);
    expect(isKept(cache, say("c"), ofSize(4_096))).toBe(false);
    expect(isKept(cache, say("d"), ofSize(1_000_000))).toBe(false);
    expect(cache.counters("answers")).toMatchObject({ "rule=all;outcome=stored": 1 });
  });

  it("is larger than an entry may be, and came in many pieces: no failure of the upstream, and nobody waits for it in turn", async () => {
    const cache = await CacheHost.start({ maxEntryBytes: 4_096, ...open() });
    const leader = cache.ask(say("q"));
    const others = Array.from({ length: 4 }, () => cache.ask(say("q")));
    cache.answer(leader, { pieces: document("x".repeat(10_000)).match(/.{1,1000}/g) ?? [] });
    expect(others.map((one) => one.upstream.ended)).toEqual([true, true, true, true]);
    expect(cache.counters("answers")).toEqual({ "rule=all;outcome=large": 1 });
  });

  it("finds no memory while it passes, and is there when there is some", async () => {
    const cache = await CacheHost.start({ maxRecordingBytes: 1 << 20, ...open() });
    const text = document("x".repeat(200_000));
    const running = Array.from({ length: 10 }, (_, i) => cache.ask(say(`r${i}`)));
    for (const one of running) {
      one.responseHeaders({ ":status": "200", "content-type": "application/json", a: "1", b: "2", c: "3", d: "4" });
      one.responseBody(text.slice(0, -1));
    }
    for (const one of running) one.responseBody(text.slice(-1), { endOfStream: true });
    expect(running.every((one) => one.downstream.text === text)).toBe(true);
    const states = running.map((_, i) => cache.call(say(`r${i}`), text).cache);
    const kept = states.filter((state) => state === "hit").length;
    expect(kept).toBeGreaterThan(2);
    expect(kept).toBeLessThan(6);
    expect(running.map((_, i) => cache.call(say(`r${i}`), text).cache)).toEqual(running.map(() => "hit"));
    expect(cache.trapped).toBe(false);
  });
});
