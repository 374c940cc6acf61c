import { describe, expect, it } from "vitest";
import { type Answer, CacheHost, document, events, open, say, seen } from "./cache-driver.ts";

/** How long answers live, and what is given behind that. */

const old = document("old");
const young = document("young");
const second = 1_000;
const failures: [string, Answer][] = [
  [
    "a body",
    {
      status: "503",
      type: "text/plain",
      headers: { "retry-after": "9", "content-encoding": "gzip" },
      pieces: ["x".repeat(70_000), "y"],
    },
  ],
  ["headers only", { status: "500", pieces: [] }],
  ["no content-type", { status: "529", type: "", pieces: ["no"] }],
];
const envoy = (
  stream: ReturnType<CacheHost["ask"]>,
  details = "upstream_reset_before_response_started{connection_failure}",
  body = "upstream connect error",
) => stream.reply({ status: 503, details, body: Buffer.from(body), headers: [], grpcStatus: undefined });

describe("a fresh answer", () => {
  it("is one until its time is over, counted from when its request was sent", async () => {
    const cache = await CacheHost.start(open({ ttlMs: 5_000 }));
    const first = cache.ask(say("q"));
    cache.host.advance(2_000);
    cache.answer(first, old);
    for (const [ms, age] of [
      [0, "2"],
      [999, "2"],
      [1, "3"],
      [1_999, "4"],
    ] as const) {
      cache.host.advance(ms);
      expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: old, headers: { age } });
    }
    cache.host.advance(1);
    expect(cache.call(say("q"), young)).toMatchObject({ upstream: true, cache: "miss", body: young });
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: young, headers: { age: "0" } });
  });

  it("that took longer than it lives is nobody's", async () => {
    const cache = await CacheHost.start(open({ ttlMs: 1_000 }));
    const first = cache.ask(say("q"));
    const next = cache.ask(say("q"));
    cache.host.advance(1_500);
    cache.answer(first, old);
    cache.host.advance(100);
    expect(next.upstream.ended).toBe(true);
    expect(cache.call(say("other"), young)).toMatchObject({ cache: "miss" });
    expect(cache.trapped).toBe(false);
  });

  it("of a later request stays when one of an earlier request comes behind it", async () => {
    const cache = await CacheHost.start(open({ singleFlight: false }));
    const slow = cache.ask(say("q"));
    cache.host.advance(3_000);
    cache.call(say("q"), young);
    cache.answer(slow, old);
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: young });
  });

  it("is found by all workers", async () => {
    const cache = await CacheHost.start(open(), { workers: 4 });
    cache.call(say("q"), old, [], 2);
    for (let worker = 0; worker < 4; worker++)
      expect(cache.call(say("q"), young, [], worker)).toMatchObject({ cache: "hit", body: old });
  });
});

describe("stale-while-revalidate", () => {
  it("one fetches, the others get the old one, in all workers", async () => {
    const cache = await CacheHost.start(open({ ttlMs: second, staleWhileRevalidateMs: 10_000 }), { workers: 2 });
    cache.call(say("q"), old);
    cache.host.advance(5_000);
    const fetching = cache.ask(say("q"));
    expect(fetching.upstream.ended).toBe(true);
    for (const worker of [0, 1, 0, 1])
      expect(cache.call(say("q"), young, [], worker)).toMatchObject({
        upstream: false,
        cache: "stale",
        body: old,
        headers: { age: "5" },
      });
    cache.answer(fetching, young);
    for (const worker of [0, 1])
      expect(cache.call(say("q"), old, [], worker)).toMatchObject({ cache: "hit", body: young });
    expect(cache.counters("requests")).toMatchObject({ "rule=all;outcome=stale": 4 });
  });

  it("the next one fetches when the fetching one failed", async () => {
    const cache = await CacheHost.start(open({ ttlMs: second, staleWhileRevalidateMs: 10_000 }));
    cache.call(say("q"), old);
    cache.host.advance(5_000);
    expect(cache.call(say("q"), { status: "500", pieces: ["no"] })).toMatchObject({ upstream: true, status: "500" });
    const fetching = cache.ask(say("q"));
    expect(fetching.upstream.ended).toBe(true);
    expect(cache.call(say("q"))).toMatchObject({ cache: "stale", body: old });
    fetching.end();
    expect(cache.call(say("q"), young)).toMatchObject({ upstream: true, cache: "miss" });
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: young });
  });

  it("not behind its window, and not for who wants a younger one", async () => {
    const cache = await CacheHost.start(open({ ttlMs: second, staleWhileRevalidateMs: 4_000 }));
    cache.call(say("q"), old);
    cache.host.advance(4_999);
    const fetching = cache.ask(say("q"));
    expect(cache.call(say("q"))).toMatchObject({ cache: "stale" });
    const strict = cache.ask(say("q"), [["cache-control", "max-age=1"]]);
    expect([strict.localReply, strict.paused.request]).toEqual([undefined, true]);
    cache.host.advance(2);
    const late = cache.ask(say("q"));
    expect([late.localReply, late.paused.request]).toEqual([undefined, true]);
    cache.answer(fetching, young);
    expect(seen(late)).toMatchObject({ cache: "coalesced", body: young });
  });

  it("also where equal requests do not share calls", async () => {
    const cache = await CacheHost.start(open({ ttlMs: second, staleWhileRevalidateMs: 10_000, singleFlight: false }));
    cache.call(say("q"), old);
    cache.host.advance(5_000);
    expect(cache.ask(say("q")).upstream.ended).toBe(true);
    expect(cache.call(say("q"))).toMatchObject({ cache: "stale", body: old });
  });
});

describe("stale-if-error", () => {
  const rule = { ttlMs: second, staleIfErrorMs: 10_000 };
  it.each(failures)("stands in for %s", async (_name, failure) => {
    const cache = await CacheHost.start(open(rule));
    cache.call(say("q"), old);
    cache.host.advance(5_000);
    for (let i = 0; i < 2; i++) {
      const got = cache.call(say("q"), failure);
      expect(got).toMatchObject({
        upstream: true,
        cache: "stale",
        status: "200",
        body: old,
        headers: { age: "5", "content-type": "application/json" },
      });
      for (const name of ["retry-after", "content-encoding"]) expect(got.headers).not.toHaveProperty(name);
      if (got.headers["content-length"] !== undefined) expect(got.headers["content-length"]).toBe(String(old.length));
    }
    expect(cache.call(say("q"), young)).toMatchObject({ cache: "miss", body: young });
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: young });
    expect(cache.trapped).toBe(false);
    cache.host.advance(1_000);
    expect(cache.counters("requests")).toEqual({
      "rule=all;outcome=miss": 2,
      "rule=all;outcome=stale": 2,
      "rule=all;outcome=hit": 1,
    });
  });

  it("stands in for what Envoy says when nobody answers", async () => {
    const cache = await CacheHost.start(open(rule));
    cache.call(say("q"), old);
    cache.host.advance(5_000);
    for (const [details, body] of [
      ["no_healthy_upstream", "no healthy upstream"],
      ["upstream_reset_before_response_started{connection_failure}", ""],
    ] as const) {
      const stream = cache.ask(say("q"));
      envoy(stream, details, body);
      expect(seen(stream)).toMatchObject({ cache: "stale", status: "200", body: old });
    }
    const stream = cache.ask(say("q"));
    stream.reply({
      status: 504,
      details: "upstream_response_timeout",
      body: Buffer.from("upstream request timeout"),
      headers: [],
      grpcStatus: undefined,
    });
    expect(seen(stream)).toMatchObject({ cache: "stale", status: "200", body: old });
  });

  it("not for answers that are the client's fault, nor for ones that break off", async () => {
    const cache = await CacheHost.start(open(rule));
    cache.call(say("q"), old);
    cache.host.advance(5_000);
    for (const status of ["400", "401", "404", "429"])
      expect(cache.call(say("q"), { status, pieces: ["no"] })).toMatchObject({ status, body: "no" });
    expect(cache.call(say("q"), { pieces: [old.slice(0, 20)] })).toMatchObject({
      status: "200",
      body: old.slice(0, 20),
    });
  });

  it("not behind its window, though the request came within it", async () => {
    const cache = await CacheHost.start(open(rule));
    cache.call(say("q"), old);
    cache.host.advance(11_000);
    expect(cache.call(say("q"), { status: "503", pieces: ["no"] })).toMatchObject({ status: "503", body: "no" });
  });

  it("also for one of a stream, and for who has waited", async () => {
    const cache = await CacheHost.start(open(rule), { workers: 2 });
    const body = say("q", { stream: true });
    const list = events("old");
    cache.call(body, { type: "text/event-stream", pieces: list });
    cache.host.advance(5_000);
    const leader = cache.ask(body);
    const next = cache.ask(body);
    cache.answer(leader, { status: "503", pieces: ["no"] });
    expect(seen(leader)).toMatchObject({
      cache: "stale",
      status: "200",
      body: list.join(""),
      headers: { "content-type": "text/event-stream" },
    });
    cache.host.advance(100);
    expect(next.upstream.ended).toBe(true);
    cache.answer(next, { status: "503", pieces: ["no"] });
    expect(seen(next)).toMatchObject({ cache: "stale", body: list.join("") });
    expect(cache.trapped).toBe(false);
  });

  it("not when the failure comes behind its window", async () => {
    const cache = await CacheHost.start(open(rule));
    cache.call(say("q"), old);
    cache.host.advance(10_900);
    const stream = cache.ask(say("q"));
    cache.host.advance(30_000);
    cache.answer(stream, { status: "503", pieces: ["no"] });
    expect(seen(stream)).toMatchObject({ status: "503", body: "no" });
  });
});
