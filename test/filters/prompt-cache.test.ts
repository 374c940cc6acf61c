import { describe, expect, it } from "vitest";
import { CacheHost, document, events, open, say, seen } from "./cache-driver.ts";

const sse = "text/event-stream";

describe("the prompt cache", () => {
  it("answers a question that was asked before, byte for byte", async () => {
    const cache = await CacheHost.start();
    const first = cache.call(say("a"), document("x"));
    expect(first).toMatchObject({ upstream: true, cache: "miss", body: document("x") });
    cache.host.advance(3_000);
    const second = cache.call(say("a"), document("y"));
    expect(second).toMatchObject({ upstream: false, cache: "hit", status: "200", body: document("x") });
    expect(second.headers).toMatchObject({ age: "3", "content-type": "application/json" });
    expect(second.headers["x-llm-cache-key"]).toMatch(/^[0-9a-f]{32}$/);
    expect(second.headers["x-llm-cache-key"]).toBe(first.headers["x-llm-cache-key"]);
    expect(cache.counters("requests")).toEqual({ "rule=all;outcome=hit": 1, "rule=all;outcome=miss": 1 });
    expect(cache.trapped).toBe(false);
  });

  it("replays a stream with every event", async () => {
    const cache = await CacheHost.start();
    const body = say("a", { stream: true });
    cache.call(body, { type: sse, pieces: events("hello") });
    expect(cache.call(body)).toMatchObject({
      upstream: false,
      cache: "hit",
      body: events("hello").join(""),
      headers: { "content-type": sse },
    });
    expect(cache.call(say("a"))).toMatchObject({ upstream: true, cache: "miss" });
  });

  it("lets those who ask at the same time wait for the first", async () => {
    const cache = await CacheHost.start(open(), { workers: 2 });
    const leader = cache.ask(say("a"));
    const followers = [0, 0, 1, 1].map((worker) => cache.ask(say("a"), [], worker));
    expect(followers.map((stream) => stream.paused.request)).toEqual([true, true, true, true]);
    cache.answer(leader, document("x"));
    cache.host.advance(1_500);
    expect(followers.map((stream) => seen(stream))).toMatchObject(
      Array(4).fill({ upstream: false, cache: "coalesced", body: document("x") }),
    );
    expect(cache.trapped).toBe(false);
  });

  it("hands the call over when its upstream fails", async () => {
    const cache = await CacheHost.start();
    const leader = cache.ask(say("a"));
    const [next, last] = [cache.ask(say("a")), cache.ask(say("a"))];
    cache.answer(leader, { status: "503" });
    expect(seen(leader)).toMatchObject({ status: "503", cache: "miss" });
    expect([next, last].map(({ paused }) => paused.request)).toEqual([false, true]);
    cache.answer(next, document("x"));
    expect(seen(next)).toMatchObject({ upstream: true, status: "200", body: document("x") });
    expect(seen(last)).toMatchObject({ upstream: false, cache: "coalesced", body: document("x") });
  });
});
