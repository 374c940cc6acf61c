import { describe, expect, it } from "vitest";
import { cachedApis, streamingApis } from "./cache-apis.ts";
import { type Answer, CacheHost, document, events, open, say } from "./cache-driver.ts";
import type { Headers } from "./router-driver.ts";

/** An answer that was stored in one form and is asked for in the other. */

const sse = "text/event-stream";
const stream = (pieces: readonly string[]): Answer => ({ type: sse, pieces });
const rule = { transcode: true, cache: { temperature: "any", tools: true, choices: true } };

/** Texts of the deltas, and of the whole. */
const texts = {
  chat: (one: { choices?: { delta?: { content?: string }; message?: { content?: string } }[] }) =>
    one.choices?.map(({ delta, message }) => delta?.content ?? message?.content ?? "").join("") ?? "",
  completions: (one: { choices?: { text?: string }[] }) => one.choices?.map(({ text }) => text ?? "").join("") ?? "",
  responses: (one: { type?: string; delta?: string; output?: { content?: { text?: string }[] }[] }) =>
    (one.type === "response.output_text.delta"
      ? one.delta
      : one.output?.map(({ content }) => content?.[0]?.text ?? "").join("")) ?? "",
  messages: (one: { delta?: { text?: string }; content?: { text?: string }[] }) =>
    one.delta?.text ?? one.content?.map(({ text }) => text ?? "").join("") ?? "",
};

const dataOf = (body: string) =>
  body
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)));

describe.each(streamingApis.filter((name) => name !== "embeddings"))("an answer of %s", (name) => {
  const api = cachedApis[name];
  const headers: Headers = [[":path", api.path]];
  const [whole, pieces] = [api.request("q"), { ...api.request("q"), stream: true }];
  const textOf = texts[name as keyof typeof texts];

  it("that is a document answers who wants a stream, with one that is whole", async () => {
    const cache = await CacheHost.start(open(rule));
    cache.call(whole, api.document('hé\n"llo"'), headers);
    const got = cache.call(pieces, {}, headers);
    expect(got).toMatchObject({
      upstream: false,
      cache: "hit",
      status: "200",
      headers: { "content-type": sse, age: "0" },
    });
    expect(dataOf(got.body).map(textOf).join("")).toBe('hé\n"llo"');
    // What was made is an answer that a cache would keep.
    const other = await CacheHost.start(open());
    other.call(pieces, stream([got.body]), headers);
    expect(other.call(pieces, {}, headers)).toMatchObject({ cache: "hit", body: got.body });
    expect(cache.counters("requests")).toMatchObject({ "rule=all;outcome=transcoded": 1 });
    // The document itself is still what it was.
    expect(cache.call(whole, {}, headers)).toMatchObject({ cache: "hit", body: api.document('hé\n"llo"') });
    expect(cache.trapped).toBe(false);
  });

  it("that is a stream answers who wants a document, with one that is whole, if its usage is known", async () => {
    const cache = await CacheHost.start(open(rule));
    const list = api.stream("hello");
    const end = list.findIndex((one) => one.includes("[DONE]"));
    if (end >= 0) {
      cache.call(pieces, stream(list), headers);
      const none = cache.ask(whole, headers);
      expect(none.upstream.ended).toBe(true);
      none.end();
      const usage = {
        ...dataOf(list[0] ?? "")[0],
        choices: [],
        usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 },
      };
      list.splice(end, 0, `data: ${JSON.stringify(usage)}\n\n`);
    }
    cache.call(pieces, stream(list), [...headers, ["cache-control", "no-cache"]]);
    const got = cache.call(whole, {}, headers);
    expect(got).toMatchObject({
      upstream: false,
      cache: "hit",
      status: "200",
      headers: { "content-type": "application/json" },
    });
    expect(textOf(JSON.parse(got.body))).toBe("hello");
    const other = await CacheHost.start(open());
    other.call(whole, got.body, headers);
    expect(other.call(whole, {}, headers)).toMatchObject({ cache: "hit", body: got.body });
    expect(cache.call(pieces, {}, headers)).toMatchObject({ cache: "hit", body: list.join("") });
  });

  it("is one of its own where the rule does not say so", async () => {
    const cache = await CacheHost.start(open());
    cache.call(whole, api.document("x"), headers);
    expect(cache.call(pieces, stream(api.stream("y")), headers)).toMatchObject({
      upstream: true,
      cache: "miss",
      body: api.stream("y").join(""),
    });
    expect(cache.call(whole, {}, headers)).toMatchObject({ cache: "hit", body: api.document("x") });
  });
});

describe("the other form", () => {
  const [whole, pieces] = [say("q"), say("q", { stream: true })];

  it("is only looked at while it is fresh, and young enough", async () => {
    const cache = await CacheHost.start(
      open({ ...rule, ttlMs: 5_000, staleWhileRevalidateMs: 60_000, staleIfErrorMs: 60_000 }),
    );
    cache.call(whole, document("x"));
    cache.host.advance(3_000);
    const strict = cache.ask(pieces, [["cache-control", "max-age=2"]]);
    expect(strict.upstream.ended).toBe(true);
    strict.end();
    expect(cache.call(pieces, {}, [["cache-control", "max-age=3"]])).toMatchObject({ cache: "hit" });
    cache.host.advance(2_000);
    expect(cache.call(pieces, stream(events("y")))).toMatchObject({ upstream: true, body: events("y").join("") });
  });

  it("comes behind an answer in the right one", async () => {
    const cache = await CacheHost.start(open(rule));
    cache.call(pieces, stream(events("stream")));
    cache.call(whole, document("document"), [["cache-control", "no-cache"]]);
    expect(cache.call(pieces)).toMatchObject({ body: events("stream").join("") });
    expect(cache.call(whole)).toMatchObject({ body: document("document") });
  });

  it("is as private as the right one: keys, models, prompts", async () => {
    const cache = await CacheHost.start({ rules: [{ name: "all", ...rule }] });
    const by = (key: string): Headers => [["authorization", key]];
    cache.call(whole, document("a"), by("a"));
    expect(cache.call(pieces, stream(events("b")), by("b"))).toMatchObject({ upstream: true });
    expect(cache.call(say("r", { stream: true }), stream(events("c")), by("a"))).toMatchObject({ upstream: true });
    expect(cache.call(say("q", { stream: true, model: "n" }), stream(events("d")), by("a"))).toMatchObject({
      upstream: true,
    });
    expect(cache.call(pieces, {}, by("a"))).toMatchObject({ cache: "hit" });
  });

  it("is none where it cannot be carried over", async () => {
    const cache = await CacheHost.start(open(rule));
    const odd: [string, string][] = [
      [
        "audio",
        JSON.stringify({
          ...JSON.parse(document("x")),
          choices: [
            {
              index: 0,
              finish_reason: "stop",
              message: {
                role: "assistant",
                content: null,
                audio: { id: "a", data: "x", transcript: "t", expires_at: 1 },
              },
            },
          ],
        }),
      ],
    ];
    for (const [name, text] of odd) {
      cache.call(say(name), text);
      const got = cache.call(say(name, { stream: true }), stream(events("own")));
      // What it gives has to be all of it, or nothing.
      if (got.upstream) expect(got.body).toBe(events("own").join(""));
      else expect(got.body).toContain('"transcript":"t"');
    }
    expect(cache.trapped).toBe(false);
  });

  it("has no embeddings", async () => {
    const cache = await CacheHost.start(open(rule));
    const api = cachedApis.embeddings;
    const headers: Headers = [[":path", api.path]];
    cache.call(api.request("q"), api.document("x"), headers);
    expect(cache.call({ ...api.request("q"), stream: true }, stream(["data: {}\n\n"]), headers)).toMatchObject({
      upstream: true,
    });
  });

  it("has the usage that the document had, for who asks for it", async () => {
    const cache = await CacheHost.start(open(rule));
    cache.call(whole, document("x"));
    expect(cache.call(pieces).body).not.toContain('"prompt_tokens"');
    const asking = cache.call({ ...pieces, stream_options: { include_usage: true } }, stream(events("own")));
    // `stream_options` is part of the question, so this is another one.
    if (!asking.upstream) expect(asking.body).toContain('"prompt_tokens":7');
  });
});
