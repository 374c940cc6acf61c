import { describe, expect, it } from "vitest";
import { type ApiName, apiNames, cachedApis } from "./cache-apis.ts";
import { CacheHost, document, open, say, seen } from "./cache-driver.ts";
import type { Headers } from "./router-driver.ts";

/** What a request says of the cache, and which requests are the cache's at all. */

const to = (name: ApiName): Headers => [[":path", cachedApis[name].path]];
const control = (value: string): Headers => [["cache-control", value]];
const any = { cache: { temperature: "any", tools: true, choices: true } };

describe("what the client wants", () => {
  it("no-cache: a new answer, which is kept", async () => {
    const cache = await CacheHost.start();
    cache.call(say("q"), document("old"));
    expect(cache.call(say("q"), document("new"), control("no-cache"))).toMatchObject({
      upstream: true,
      cache: "stored",
      body: document("new"),
    });
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: document("new") });
    cache.call(say("q"), { status: "500" }, control("no-cache"));
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: document("new") });
  });

  it("no-store: past the cache", async () => {
    const cache = await CacheHost.start();
    expect(cache.call(say("q"), document("one"), control("No-Store"))).toMatchObject({
      upstream: true,
      cache: "bypass",
    });
    expect(cache.call(say("q"), document("two"))).toMatchObject({ upstream: true, cache: "miss" });
    expect(cache.call(say("q"), document("three"), control("max-age=9, no-store"))).toMatchObject({
      cache: "bypass",
      body: document("three"),
    });
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: document("two") });
  });

  it("max-age: none that is older", async () => {
    const cache = await CacheHost.start();
    cache.call(say("q"), document("old"));
    cache.host.advance(10_000);
    const ask = (value: string) => {
      const one = cache.ask(say("q"), control(value));
      one.end();
      return seen(one).cache ?? "miss";
    };
    for (const value of [
      "max-age=10",
      "max-age=11",
      'max-age="10"',
      "max-age=99999999999999999999",
      "max-stale=1",
      "min-fresh=1",
      "",
      ",,",
      "max-age=60,foo=bar",
    ])
      expect([value, ask(value)]).toEqual([value, "hit"]);
    for (const value of [
      "max-age=9",
      "max-age=0",
      "max-age",
      "max-age=",
      "max-age=x",
      "max-age=-1",
      'max-age=""',
      "max-age=60, MAX-AGE=1",
      "max-age=1,max-age=60",
      " max-age=9 ",
    ])
      expect([value, ask(value)]).toEqual([value, "miss"]);
    expect(cache.call(say("q"), document("new"), control("max-age=5"))).toMatchObject({
      upstream: true,
      cache: "miss",
    });
    expect(cache.call(say("q"))).toMatchObject({ body: document("new"), headers: { age: "0" } });
  });

  it("max-age: also of the answer that it waited for", async () => {
    const cache = await CacheHost.start();
    const leader = cache.ask(say("q"));
    cache.host.advance(5_000);
    const strict = cache.ask(say("q"), control("max-age=1"));
    const lax = cache.ask(say("q"), control("max-age=10"));
    cache.answer(leader, document("x"));
    expect(seen(lax)).toMatchObject({ cache: "coalesced", body: document("x") });
    expect(strict.upstream.ended).toBe(true);
    cache.answer(strict, document("y"));
    expect(cache.call(say("q"))).toMatchObject({ body: document("y") });
  });

  it.each(apiNames)("only-if-cached: 504 in the shape of %s, or the answer", async (name) => {
    const api = cachedApis[name];
    const cache = await CacheHost.start();
    const headers = [...to(name), ...control("only-if-cached")];
    const refused = cache.call(api.request("q"), {}, headers);
    expect(refused).toMatchObject({ upstream: false, status: "504" });
    const error = JSON.parse(refused.body);
    if (name === "messages") expect(error).toMatchObject({ type: "error", error: { type: "timeout_error" } });
    else expect(error).toMatchObject({ error: { type: "server_error", param: null, code: "not_cached" } });
    cache.call(api.request("q"), api.document("x"), to(name));
    expect(cache.call(api.request("q"), {}, headers)).toMatchObject({ cache: "hit", body: api.document("x") });
    expect(cache.counters("requests")).toMatchObject({ "rule=all;outcome=refused": 1 });
  });

  it("only-if-cached: the answer that is on its way counts, and one that fails is none", async () => {
    const cache = await CacheHost.start();
    const leader = cache.ask(say("q"));
    const [waits] = [cache.ask(say("q"), control("only-if-cached"))];
    cache.answer(leader, document("x"));
    expect(seen(waits)).toMatchObject({ cache: "coalesced" });
    const failing = cache.ask(say("r"));
    const [first, next] = [cache.ask(say("r"), control("only-if-cached")), cache.ask(say("r"))];
    cache.answer(failing, { status: "500" });
    expect(seen(first)).toMatchObject({ status: "504" });
    cache.host.advance(100);
    expect(next.upstream.ended).toBe(true);
    expect(cache.trapped).toBe(false);
  });

  it("only-if-cached: no upstream is asked, whatever else it wants", async () => {
    const cache = await CacheHost.start();
    for (const value of ["only-if-cached, no-cache", "only-if-cached, max-age=0"]) {
      expect([value, cache.call(say(value), {}, control(value))]).toEqual([
        value,
        expect.objectContaining({ upstream: false, status: "504" }),
      ]);
    }
  });

  it("only-if-cached: nor for a request that goes past the cache", async () => {
    const cache = await CacheHost.start();
    expect(cache.call(say("q", { temperature: 1 }), {}, control("only-if-cached"))).toMatchObject({
      upstream: false,
      status: "504",
    });
  });

  it("nothing of it where the rule does not honour it", async () => {
    const cache = await CacheHost.start(open({ clientControl: false }));
    cache.call(say("q"), document("x"), control("no-store"));
    for (const value of ["no-cache", "no-store", "max-age=0"])
      expect(cache.call(say("q"), {}, control(value))).toMatchObject({ cache: "hit", body: document("x") });
    expect(cache.call(say("r"), {}, control("only-if-cached"))).toMatchObject({ upstream: true });
  });
});

describe("requests that may be answered from the cache", () => {
  const temperatures: [unknown, zero: boolean, unset: boolean][] = [
    [0, true, true],
    [undefined, false, true],
    [null, false, true],
    [1e-3, false, false],
    [1, false, false],
    [2, false, false],
    ["0", false, false],
    [[], false, false],
  ];
  it.each(["zero", "unset", "any"] as const)("by temperature: %s", async (temperature) => {
    const cache = await CacheHost.start(open({ cache: { temperature } }));
    for (const [value, zero, unset] of temperatures) {
      const expected = temperature === "any" || (temperature === "zero" ? zero : unset) ? "miss" : "bypass";
      const body = say(`t ${JSON.stringify(value)}`, { temperature: value });
      expect([value, cache.call(body).cache]).toEqual([value, expected]);
    }
    for (const text of ["0e5", "0.000", "-0.0", "0E-9"])
      expect([text, cache.call(JSON.stringify(say("zero")).replace("{", `{"temperature":${text},`)).cache]).toEqual([
        text,
        text === "0e5" ? "miss" : "hit",
      ]);
    // An embedding has none.
    expect(
      cache.call(cachedApis.embeddings.request("q"), cachedApis.embeddings.document("x"), to("embeddings")),
    ).toMatchObject({ cache: "miss" });
  });

  it("by tools and answers: only where the rule says so", async () => {
    const bodies: [object, "tools" | "choices"][] = [
      [say("a", { tools: [{ type: "function", function: { name: "f" } }] }), "tools"],
      [say("b", { functions: [{ name: "f" }] }), "tools"],
      [say("c", { n: 2 }), "choices"],
    ];
    const cache = await CacheHost.start();
    for (const [body] of bodies) expect(cache.call(body)).toMatchObject({ upstream: true, cache: "bypass" });
    for (const body of [say("d", { tools: [] }), say("e", { n: 1 }), say("f", { n: null, tools: null })])
      expect(cache.call(body)).toMatchObject({ cache: "miss" });
    for (const what of ["tools", "choices"] as const) {
      const open1 = await CacheHost.start(open({ cache: { [what]: true } }));
      for (const [body, needs] of bodies) expect(open1.call(body).cache).toBe(needs === what ? "miss" : "bypass");
    }
    const gemini = { contents: [{ parts: [{ text: "q" }] }] };
    const generate: Headers = [[":path", "/v1beta/models/g:generateContent"]];
    for (const more of [
      { generationConfig: { temperature: 1 } },
      { generationConfig: { candidateCount: 2 } },
      { tools: [{ googleSearch: {} }] },
    ])
      expect(cache.call({ ...gemini, ...more }, {}, generate)).toMatchObject({ cache: "bypass" });
    expect(cache.call(gemini, {}, generate)).toMatchObject({ cache: "miss" });
  });

  it("not: what changes while the request stays the same", async () => {
    const cache = await CacheHost.start(open(any));
    const responses = { ...cachedApis.responses.request("q") };
    for (const conversation of ["conv_1", { id: "conv_1" }])
      expect(cache.call({ ...responses, conversation }, {}, to("responses"))).toMatchObject({ cache: "bypass" });
    expect(cache.call({ ...responses, conversation: null }, {}, to("responses"))).toMatchObject({ cache: "miss" });
    expect(cache.call(say("q", { web_search_options: {} }))).toMatchObject({ cache: "bypass" });
    for (const more of [{ container: "c" }, { mcp_servers: [{ url: "u" }] }])
      expect(cache.call({ ...cachedApis.messages.request("q"), ...more }, {}, to("messages"))).toMatchObject({
        cache: "bypass",
      });
  });
});
