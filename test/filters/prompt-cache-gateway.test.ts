import { describe, expect, it } from "vitest";
import { type Answer, CacheHost, document, events, open, say, seen } from "./cache-driver.ts";

/** The cache in front of a limiter. */

const sse = "text/event-stream";
const stream = (pieces: readonly string[]): Answer => ({ type: sse, pieces });
const streamed = say("q", { stream: true });

describe("with a limiter behind it", () => {
  const gateway = { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" };
  const limits = (amount: number, more: object = {}) => ({
    rules: [{ name: "l", key: [], limits: [{ unit: "tokens", amount, per: "minute" }], ...more }],
  });
  const quota = (one: { headers: Readonly<Record<string, string>> }) =>
    Number(one.headers["x-ratelimit-remaining-tokens"]);

  it("usage that the limiter asked for is not in what a client gets that did not ask", async () => {
    const cache = await CacheHost.start({ promptCache: open(), rateLimit: limits(100_000) }, gateway);
    const plain = cache.ask(streamed);
    expect(plain.upstream.text).toContain("include_usage");
    const usage =
      'data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n';
    const list = events("hi");
    const upstream = [...list.slice(0, -1), usage, list.at(-1) ?? ""];
    cache.answer(plain, stream(upstream));
    expect(seen(plain)).toMatchObject({ body: list.join("") });
    expect(cache.call(streamed)).toMatchObject({ cache: "hit", body: list.join("") });
    const asking = { ...streamed, stream_options: { include_usage: true } };
    expect(cache.call(asking, stream(upstream))).toMatchObject({ cache: "miss", body: upstream.join("") });
    expect(cache.call(asking)).toMatchObject({ cache: "hit", body: upstream.join("") });
  });

  it("an answer that it ends is not kept, the same answer whole is", async () => {
    const overrun = (amount: number) => ({ promptCache: open(), rateLimit: limits(amount, { overrun: "stop" }) });
    const pad = (content: string) =>
      `data: ${JSON.stringify({ id: "c1", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { content: content.padEnd(150, ".") }, finish_reason: null }] })}\n\n`;
    const list = [...Array.from({ length: 200 }, (_, i) => pad(`${i}`)), ...events("").slice(1)];
    const body = { ...streamed, max_tokens: 20 };
    const tight = await CacheHost.start(overrun(60), gateway);
    const cut = tight.call(body, stream(list));
    expect(cut.body.length).toBeLessThan(list.join("").length / 2);
    expect(cut.body).toContain('"length"');
    tight.host.advance(120_000);
    expect(tight.ask(body).upstream.ended).toBe(true);
    const wide = await CacheHost.start(overrun(100_000), gateway);
    expect(wide.call(body, stream(list)).body).toBe(list.join(""));
    expect(wide.call(body)).toMatchObject({ cache: "hit", body: list.join("") });
  });

  it("those who wait for an answer that it ends for its client get their own, whole and within their budgets", async () => {
    const stop = { key: [{ header: "x-user" }], limits: [{ unit: "tokens", amount: 400, per: "minute" }] };
    const cache = await CacheHost.start(
      { promptCache: open(), rateLimit: { rules: [{ name: "l", overrun: "stop", ...stop }] } },
      gateway,
    );
    const spend = (user: string, tokens: number) => {
      const used = JSON.stringify({
        ...JSON.parse(document("x")),
        usage: { prompt_tokens: tokens, completion_tokens: 1 },
      });
      cache.call(say(`of ${user}`, { max_tokens: 1 }), used, [["x-user", user]]);
    };
    spend("poor", 300);
    spend("broke", 400);
    const list = events("0123456789".repeat(20));
    const body = { ...streamed, max_tokens: 20 };
    const ask = (user: string) => cache.ask(body, [["x-user", user]]);
    const leader = ask("poor");
    const [rich, broke, other] = [ask("rich"), ask("broke"), ask("other")];
    cache.answer(leader, stream(list));
    cache.host.turn();
    expect(seen(leader).body).toContain('"length"');
    expect(seen(leader).body.length).toBeLessThan(list.join("").length);
    expect(seen(broke)).toMatchObject({ upstream: false, status: "429" });
    for (const one of [rich, other]) {
      expect([one.localReply, one.upstream.ended]).toEqual([undefined, true]);
      cache.answer(one, stream(list));
      expect(seen(one)).toMatchObject({ status: "200", cache: "miss", body: list.join("") });
    }
    expect(cache.call(body, {}, [["x-user", "late"]])).toMatchObject({ cache: "hit", body: list.join("") });
    expect(cache.trapped).toBe(false);
  });

  it("a hit takes nothing, or the part that the rule says, and is refused when there is nothing left for it", async () => {
    const big = JSON.stringify({ ...JSON.parse(document("x")), usage: { prompt_tokens: 600, completion_tokens: 400 } });
    const body = say("q", { max_tokens: 10 });
    const left = async (more: object) => {
      const cache = await CacheHost.start({ promptCache: open(more), rateLimit: limits(10_000) }, gateway);
      cache.call(body, big);
      const first = quota(cache.call(say("other 1", { max_tokens: 10 }), big));
      for (let i = 0; i < 3; i++) expect(cache.call(body)).toMatchObject({ cache: "hit", body: big });
      return first - quota(cache.call(say("other 2", { max_tokens: 10 }), big)) - 1_000;
    };
    expect(await left({})).toBe(0);
    expect(await left({ hitTokens: 100 })).toBe(3_000);
    expect(await left({ hitTokens: 10 })).toBe(300);
    const poor = await CacheHost.start({ promptCache: open({ hitTokens: 50 }), rateLimit: limits(1_010) }, gateway);
    poor.call(body, big);
    expect(poor.call(body)).toMatchObject({ upstream: false, status: "429" });
  });

  it("those who wait for others are limited when they go on their own", async () => {
    const cache = await CacheHost.start({ promptCache: open(), rateLimit: limits(100) }, gateway);
    const body = say("q", { max_tokens: 60 });
    const leader = cache.ask(body);
    const follower = cache.ask(body);
    expect(follower.paused.request).toBe(true);
    cache.answer(leader, { headers: { "cache-control": "no-store" }, pieces: [document("x")] });
    cache.host.advance(1_000);
    expect(seen(follower).status === "429" || follower.upstream.ended).toBe(true);
    expect(cache.trapped).toBe(false);
  });
});
