import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CacheHost, document, events, open, say, seen } from "./cache-driver.ts";
import type { Headers } from "./router-driver.ts";

/** Questions that come again in the very same bytes are not read again: nobody may notice but by the time that it takes. */

const gateway = { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" };
const sse = "text/event-stream";

describe("a question in bytes that were seen before", () => {
  it("gets its own answer, and one that differs in a single byte another", async () => {
    const cache = await CacheHost.start();
    let next = 0;
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'abc \\u00e9\n"'), minLength: 1, maxLength: 3_000 }),
        fc.nat(),
        (text, place) => {
          const first = `${next++} ${text}`;
          const at = place % first.length;
          const other = `${first.slice(0, at)}${first[at] === "x" ? "y" : "x"}${first.slice(at + 1)}`;
          for (const one of [first, other]) cache.call(say(one), document(one));
          for (const one of [first, other, other, first, first, other]) {
            expect(cache.call(say(one))).toMatchObject({ cache: "hit", body: document(one) });
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("is each caller's, host's, path's and form's own", async () => {
    const cache = await CacheHost.start({ rules: [{ name: "all", key: [{ header: "x-team" }] }] });
    const body = say("q");
    const asks: Headers[] = [
      [["x-team", "a"]],
      [["x-team", "b"]],
      [
        ["x-team", "a"],
        [":authority", "other.example"],
      ],
      [
        ["x-team", "a"],
        [":path", "/other/v1/chat/completions"],
      ],
      [
        ["x-team", "a"],
        [":path", "/v1/completions"],
      ],
    ];
    for (const [index, headers] of asks.entries()) {
      for (const expected of ["miss", "hit", "hit"]) {
        const got = cache.call(body, document(`${index}`), headers);
        // A chat is no question of completions: its answer is not kept.
        if (index === 4) expect(got.cache).toBe("miss");
        else expect(got).toMatchObject({ cache: expected, body: document(`${index}`) });
      }
    }
  });

  it("is kept from a rule that does not answer such questions", async () => {
    const tools = [{ type: "function", function: { name: "f", parameters: { type: "object" } } }];
    const strict = { key: [], cache: { temperature: "zero" } };
    const match = { headers: [{ name: "x-any", exact: "1" }] };
    const wide = { name: "wide", key: [], match, cache: { temperature: "any", tools: true, choices: true } };
    const cache = await CacheHost.start({ rules: [wide, { name: "strict", ...strict }] });
    for (const more of [{ tools }, { n: 2 }, { temperature: 1 }, {}]) {
      for (let i = 0; i < 3; i++) cache.call(say("q", more), {}, [["x-any", "1"]]);
      expect(cache.call(say("q", more), {}, [["x-any", "1"]]).cache).toBe("hit");
      expect(cache.call(say("q", more)).cache).toBe("bypass");
    }
    const cold = say("q", { temperature: 0 });
    for (let i = 0; i < 3; i++) cache.call(cold, {}, [["x-any", "1"]]);
    expect(cache.call(cold).cache).toBe("miss");
    expect(cache.call(cold).cache).toBe("hit");
  });

  it("is another one to another API", async () => {
    const cache = await CacheHost.start();
    // Of chats only such a search makes every answer another one.
    const body = say("q", { prompt: "q", web_search_options: {} });
    const choices = [{ index: 0, text: "a", finish_reason: "stop", logprobs: null }];
    const text = JSON.stringify({ id: "c", object: "text_completion", created: 1, model: "m", choices });
    for (const expected of ["miss", "hit", "hit"]) {
      expect(cache.call(body, text, [[":path", "/v1/completions"]])).toMatchObject({ cache: expected, body: text });
    }
    expect(cache.call(body).cache).toBe("bypass");
  });

  it("comes in pieces if it asks for them", async () => {
    const cache = await CacheHost.start();
    const list = events("hi");
    for (const expected of ["miss", "hit", "hit", "hit"]) {
      const got = cache.call(say("q", { stream: true }), { type: sse, pieces: list });
      expect(got).toMatchObject({ cache: expected, body: list.join("") });
    }
  });

  it("is read after all by who needs more of it than that, when its answer is over too", async () => {
    const config = {
      router: {
        targets: { a: { route: "a", upstreamModel: "served-a" }, b: { route: "b", upstreamModel: "served-b" } },
        rules: [
          { name: "a", match: { lastUserMessage: "apple" }, targets: [{ target: "a" }] },
          { name: "b", targets: [{ target: "b" }] },
        ],
      },
      promptCache: { rules: [{ name: "all", key: [], ttlMs: 10_000 }] },
      rateLimit: { rules: [{ name: "l", key: [], limits: [{ unit: "tokens", amount: 1e6, per: "minute" }] }] },
    };
    const cache = await CacheHost.start(config, gateway);
    const asked = (text: string) => {
      const stream = cache.ask(say(text, { stream: true }));
      if (stream.localReply !== undefined) return seen(stream).cache;
      const headers = stream.upstream.headers;
      const sent = JSON.parse(stream.upstream.text);
      cache.answer(stream, { type: sse, pieces: events("hi") });
      return [headers?.get("x-llm-route"), headers?.get("content-length") === `${stream.upstream.text.length}`, sent];
    };
    const sent = (text: string, target: string) => [
      target,
      true,
      { ...say(text, { stream: true }), model: `served-${target}`, stream_options: { include_usage: true } },
    ];
    for (const [text, target] of [
      ["an apple", "a"],
      ["a pear", "b"],
    ] as const) {
      const first = asked(text);
      expect(first).toEqual(sent(text, target));
      for (let i = 0; i < 3; i++) expect(asked(text)).toBe("hit");
      cache.host.advance(11_000);
      expect(asked(text)).toEqual(first);
      expect(asked(text)).toBe("hit");
    }
  });

  it("is what it is behind many others, in memory that does not grow", async () => {
    const cache = await CacheHost.start();
    const text = (index: number, size: number) => `${index} `.padEnd(size, "lorem ipsum ");
    const vm = () => cache.host.workerVm(0, "cache").memory.pages;
    let pages = 0;
    for (let round = 0; round < 6; round++) {
      if (round === 2) pages = vm();
      // Longer ones than are kept, and in all many times what is kept.
      for (const [index, size] of [100, 60_000, 40_000, 70_000, 3, 64_000, 20_000, 50_001, 50_002, 30_007].entries()) {
        for (let copy = 0; copy < 3; copy++) {
          const one = text(index * 10 + copy, size);
          for (let again = 0; again < 3; again++) {
            const got = cache.call(say(one), document(one.slice(0, 9)));
            expect(got).toMatchObject({ cache: round + again === 0 ? "miss" : "hit", body: document(one.slice(0, 9)) });
          }
        }
      }
    }
    expect(vm()).toBe(pages);
  });
});

it("costs the hostcalls of its headers, its body, the time, its route, where its answer is, and the reply", async () => {
  const cache = await CacheHost.start(open());
  for (let i = 0; i < 3; i++) cache.call(say("q"));
  const calls = cache.ask(say("q")).trace.map(({ name }) => name.replace("proxy_", ""));
  expect(calls).toEqual([
    "get_header_map_pairs",
    "get_buffer_bytes",
    "get_current_time_nanoseconds",
    "get_property",
    "get_shared_data",
    "send_local_response",
  ]);
});
