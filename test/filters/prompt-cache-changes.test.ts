import { describe, expect, it } from "vitest";
import { CacheHost, document, open, say, seen } from "./cache-driver.ts";
import type { Headers } from "./router-driver.ts";

/** What goes on around answers and those who wait for them: other configurations, modules that trap, clocks that jump. */

const old = document("old");
const young = document("young");

describe("another configuration", () => {
  const base = { name: "r", key: [{ header: "x-k" }], headers: ["x-h"] };
  const asked: Headers = [
    ["x-k", "k"],
    ["x-h", "h"],
    ["x-t", "t"],
    ["x-o", "t"],
    ["authorization", "a"],
  ];
  const identities: [string, object][] = [
    ["a name", { rules: [{ ...base, name: "other" }] }],
    ["a key", { rules: [{ ...base, key: [{ header: "x-h" }] }] }],
    ["another kind of key", { rules: [{ ...base, key: [{ constant: "x-k" }] }] }],
    ["one more part of the key", { rules: [{ ...base, key: [{ header: "x-k" }, { model: true }] }] }],
    ["no key", { rules: [{ ...base, key: [] }] }],
    ["headers", { rules: [{ ...base, headers: ["x-h", "x-i"] }] }],
    ["no headers", { rules: [{ ...base, headers: [] }] }],
    ["ignored members", { ignore: ["x"], rules: [base] }],
    ["no ignored members", { ignore: [], rules: [base] }],
    ["a scope", { scope: "s", rules: [base] }],
    ["a tenant", { tenantHeader: "x-t", rules: [base] }],
    ["a secret", { secret: "0123456789abcdef0123456789abcdef", rules: [base] }],
    ["another memory", { maxBytes: 2 << 20, rules: [base] }],
  ];
  it.each(identities)("with %s that changed finds nothing of what was stored", async (_name, config) => {
    const cache = await CacheHost.start({ rules: [base] });
    cache.call(say("q"), old, asked);
    expect(cache.call(say("q"), young, asked)).toMatchObject({ cache: "hit" });
    cache.configure(config);
    expect(cache.call(say("q"), young, asked)).toMatchObject({ upstream: true, cache: "miss", body: young });
    cache.configure({ rules: [base] });
    expect(cache.call(say("q"), young, asked)).toMatchObject({ cache: "hit", body: old });
  });

  it("with another tenant header finds nothing of what was stored", async () => {
    const cache = await CacheHost.start({ tenantHeader: "x-t", rules: [{ ...base, key: [{ tenant: true }] }] });
    cache.call(say("q"), old, asked);
    cache.configure({ tenantHeader: "x-o", rules: [{ ...base, key: [{ tenant: true }] }] });
    expect(cache.call(say("q"), young, asked)).toMatchObject({ cache: "miss", body: young });
  });

  it.each([
    ["a time", { ttlMs: 60_000 }],
    ["conditions", { match: { models: ["m"] }, cache: { temperature: "any" }, clientControl: false }],
    ["what is shown", { showKey: false, prices: [{ model: "*", input: 1, output: 1 }] }],
    [
      "how calls are shared",
      { singleFlight: false, staleWhileRevalidateMs: 5_000, staleIfErrorMs: 5_000, transcode: true },
    ],
  ])("with %s that changed goes on with what there is", async (_name, more) => {
    const cache = await CacheHost.start({ rules: [base] });
    cache.call(say("q"), old, asked);
    cache.configure({ rules: [{ ...base, ...more }] });
    expect(cache.call(say("q"), young, asked)).toMatchObject({ cache: "hit", body: old });
  });

  it("holds for what is stored from then on", async () => {
    const cache = await CacheHost.start(open({ ttlMs: 60_000 }));
    cache.call(say("a"), old);
    cache.configure(open({ ttlMs: 2_000 }));
    cache.call(say("b"), old);
    cache.host.advance(3_000);
    expect(cache.call(say("a"))).toMatchObject({ cache: "hit" });
    expect(cache.call(say("b"))).toMatchObject({ cache: "miss" });
  });

  it("comes while requests run and wait: all of them end", async () => {
    const cache = await CacheHost.start(open(), { workers: 2 });
    const leader = cache.ask(say("q"));
    const waiting = [cache.ask(say("q")), cache.ask(say("q"), [], 1)];
    cache.configure(open({ ttlMs: 60_000 }));
    const behind = [cache.ask(say("q")), cache.ask(say("q"), [], 1)];
    cache.answer(leader, old);
    cache.host.advance(2_000);
    for (const stream of [...waiting, ...behind]) {
      if (stream.localReply === undefined) expect(stream.upstream.ended).toBe(true);
      else expect(seen(stream).body).toBe(old);
    }
    expect(waiting.map((stream) => seen(stream).cache)).toEqual(["coalesced", "coalesced"]);
    cache.configure({ scope: "x", ...open() });
    cache.host.advance(2_000);
    expect(cache.trapped).toBe(false);
  });
});

describe("a module that traps", () => {
  const trap = (cache: CacheHost, worker: number) => {
    const disarm = cache.host.faults.inject({ call: "proxy_get_buffer_bytes", trap: true });
    cache.ask(say("trap"), [], worker);
    disarm();
  };

  it("as the leader's is replaced by one of those who wait, and is there again", async () => {
    const cache = await CacheHost.start(open(), { workers: 2, failurePolicy: "FAIL_RELOAD" });
    cache.host.advance(2_000);
    cache.ask(say("q"), [], 0);
    const waiting = [cache.ask(say("q"), [], 1), cache.ask(say("q"), [], 1)];
    cache.host.advance(500);
    trap(cache, 0);
    cache.host.advance(500);
    const reloaded = cache.ask(say("q"), [], 0);
    expect(reloaded.ended).toBe(false);
    for (let i = 0; i < 20 && !waiting.some((one) => one.upstream.ended); i++) cache.host.advance(1_000);
    const leads = waiting.filter((one) => one.upstream.ended);
    expect(leads.length).toBe(1);
    for (const one of leads) cache.answer(one, young);
    cache.host.advance(2_000);
    for (const one of [...waiting, reloaded]) expect(one.upstream.ended || seen(one).body === young).toBe(true);
    expect(seen(waiting.find((one) => !leads.includes(one)) ?? reloaded)).toMatchObject({
      cache: "coalesced",
      body: young,
    });
    expect(cache.call(say("q"), old, [], 0)).toMatchObject({ cache: "hit", body: young });
  });

  it("loses nothing that was stored", async () => {
    const cache = await CacheHost.start(open(), { workers: 1, failurePolicy: "FAIL_RELOAD" });
    cache.call(say("q"), old);
    cache.host.advance(5_000);
    trap(cache, 0);
    expect(cache.call(say("q"), young)).toMatchObject({ cache: "hit", body: old });
  });
});

describe("a clock", () => {
  const shiftable = (cache: CacheHost) => {
    const { clock } = cache.host;
    const start = clock.realtimeNs - clock.monotonicNs;
    let shift = 0;
    Object.defineProperty(clock, "realtimeNs", { get: () => start + clock.monotonicNs + BigInt(shift) * 1_000_000n });
    return (ms: number) => {
      shift += ms;
    };
  };

  it("that goes back makes answers of a time to come wait until then", async () => {
    const cache = await CacheHost.start(open({ ttlMs: 10_000 }));
    const move = shiftable(cache);
    cache.call(say("q"), old);
    move(-3_600_000);
    expect(cache.call(say("q"), young)).toMatchObject({ upstream: true, body: young });
    for (let i = 0; i < 4; i++) {
      cache.host.advance(2_400);
      const got = cache.call(say("q"), old);
      expect([got.cache, got.body]).toEqual(["hit", young]);
    }
    cache.host.advance(500);
    expect(cache.call(say("q"), young)).toMatchObject({ upstream: true });
    expect(cache.trapped).toBe(false);
  });

  it("that goes back a little changes nothing, and an age is never negative", async () => {
    const cache = await CacheHost.start(open());
    const move = shiftable(cache);
    cache.call(say("q"), old);
    move(-1_500);
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", headers: { age: "0" } });
  });

  it.each([-3_600_000, -4_000, 3_600_000])("that jumps by %i ms lets nobody wait for ever", async (ms) => {
    const cache = await CacheHost.start(open({ singleFlight: { waitMs: 3_000 } }), { workers: 2 });
    const move = shiftable(cache);
    cache.ask(say("q"));
    const waiting = [0, 1].map((worker) => cache.ask(say("q"), [], worker));
    cache.host.advance(1_000);
    move(ms);
    cache.host.advance(8_000);
    expect(waiting.map((one) => one.upstream.ended)).toEqual([true, true]);
    expect(cache.trapped).toBe(false);
  });
});

describe("waiting", () => {
  it("ends when the rule says so, and then everybody goes on his own", async () => {
    const cache = await CacheHost.start(open({ singleFlight: { waitMs: 2_000 } }), { workers: 2 });
    cache.ask(say("q"));
    const waiting = [0, 0, 1, 1].map((worker) => cache.ask(say("q"), [], worker));
    cache.host.advance(1_900);
    expect(waiting.map((one) => one.upstream.ended)).toEqual([false, false, false, false]);
    cache.host.advance(200);
    expect(waiting.map((one) => one.upstream.ended)).toEqual([true, true, true, true]);
    expect(cache.counters("events")).toMatchObject({ "event=timeout": 4 });
  });

  it("is not what requests do where they do not share calls", async () => {
    const cache = await CacheHost.start(open({ singleFlight: false }));
    const running = [0, 1, 2].map(() => cache.ask(say("q")));
    expect(running.map((one) => one.upstream.ended)).toEqual([true, true, true]);
    for (const one of running) cache.answer(one, old);
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit" });
  });

  it("leaves out those who have gone, and goes on to the next", async () => {
    const cache = await CacheHost.start(open(), { workers: 2 });
    const leader = cache.ask(say("q"));
    const [gone, next, last] = [cache.ask(say("q")), cache.ask(say("q")), cache.ask(say("q"), [], 1)];
    gone?.end();
    leader.end();
    cache.host.advance(50);
    expect([next?.upstream.ended, last?.upstream.ended]).toEqual([true, false]);
    next?.end();
    cache.host.advance(1_000);
    expect(last?.upstream.ended).toBe(true);
    expect(cache.counters("events")).toMatchObject({ "event=handover": 2 });
  });

  it("brings a body that an answer does not spoil: who waited is sent on as it came", async () => {
    const cache = await CacheHost.start();
    const leader = cache.ask(say("q"));
    const body = JSON.stringify(say("q"));
    const next = cache.ask(body);
    cache.answer(leader, { status: "500" });
    cache.host.advance(50);
    expect(next.upstream.text).toBe(body);
    expect(cache.call(say("other"), old)).toMatchObject({ cache: "miss" });
  });
});
