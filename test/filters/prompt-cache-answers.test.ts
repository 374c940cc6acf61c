import { describe, expect, it } from "vitest";
import { transcripts } from "../lib/transcripts.ts";
import { type ApiName, apiNames, cachedApis } from "./cache-apis.ts";
import { type Answer, CacheHost, document, events, open, say, seen } from "./cache-driver.ts";
import { isKept } from "./cache-sharing.ts";
import type { Headers } from "./router-driver.ts";

/** Which answers are given again, and how they look then. */

const sse = "text/event-stream";
const stream = (pieces: readonly string[]): Answer => ({ type: sse, pieces });
const to = (name: ApiName): Headers => [[":path", cachedApis[name].path]];
const any = { cache: { temperature: "any", tools: true, choices: true } };

describe("an answer that is kept", () => {
  // Without an end that their API knows: [DONE], a reason for it.
  const odd = /error|refus|transcription|broken|cumulative|(aimock|litellm)-gemini-.*tools/;
  const usable = transcripts.filter(({ api, name }) => !odd.test(name) && api !== "openai.other");
  it.each(usable.map((one) => [one.name, one] as const))(
    "as recorded, %s, comes again byte for byte",
    async (_name, one) => {
      const cache = await CacheHost.start(open(any));
      const headers: Headers = [
        [":path", one.path],
        ["content-type", one.contentType],
      ];
      const answer: Answer = { type: one.answerType };
      const first = cache.ask(one.requestBody, headers);
      expect(first.upstream.ended).toBe(true);
      first.responseHeaders({
        ":status": "200",
        "content-type": answer.type ?? "",
        date: "d",
        server: "s",
        via: "v",
        x: "y",
      });
      for (let at = 0; at < one.answerBody.length; at += 7) first.responseBody(one.answerBody.subarray(at, at + 7));
      first.responseBody("", { endOfStream: true });
      expect(Buffer.from(first.downstream.body).equals(one.answerBody)).toBe(true);
      const again = cache.ask(one.requestBody, headers);
      expect(seen(again)).toMatchObject({ upstream: false, cache: "hit", headers: { "content-type": one.answerType } });
      expect(Buffer.from(again.downstream.body).equals(one.answerBody)).toBe(true);
      expect(cache.trapped).toBe(false);
    },
  );

  it.each(apiNames)("is a whole document of %s, however it is cut", async (name) => {
    const api = cachedApis[name];
    const cache = await CacheHost.start();
    for (const size of [1, 2, 7, 64, 10_000]) {
      const body = api.request(`size ${size}`);
      const text = api.document('é\ud83d\ude00\u0000"\\ end\u007f\u2028');
      const bytes = Buffer.from(text);
      const first = cache.ask(body, to(name));
      first.responseHeaders({
        ":status": "200",
        "content-type": "application/json",
        "content-length": String(bytes.length),
        a: "1",
        b: "2",
        c: "3",
      });
      for (let at = 0; at < bytes.length; at += size) first.responseBody(bytes.subarray(at, at + size));
      first.responseBody("", { endOfStream: true });
      expect(cache.call(body, {}, to(name))).toMatchObject({ cache: "hit", body: text });
    }
  });

  it("has what gateways lose: reasoning, tool calls, usage and its details, log probabilities, names that nobody knows", async () => {
    const cache = await CacheHost.start(open(any));
    const whole = JSON.parse(document("x"));
    const odd = JSON.stringify(
      {
        ...whole,
        choices: [
          {
            index: 0,
            finish_reason: "tool_calls",
            logprobs: { content: [{ token: "x", logprob: -0.5, bytes: [120], top_logprobs: [] }] },
            message: {
              role: "assistant",
              content: null,
              reasoning_content: "hm",
              reasoning_details: [{ type: "x", data: '"' }],
              annotations: [],
              tool_calls: [{ id: "t", type: "function", function: { name: "f", arguments: '{"a":"\\""}' } }],
            },
          },
        ],
        usage: {
          prompt_tokens: 7,
          completion_tokens: 5,
          total_tokens: 12,
          prompt_tokens_details: { cached_tokens: 3 },
          completion_tokens_details: { reasoning_tokens: 2 },
        },
        system_fingerprint: "fp",
        service_tier: "default",
        odd: [1.5, -0, 1e5],
      },
      null,
      " ",
    );
    cache.call(say("q"), odd);
    expect(cache.call(say("q"))).toMatchObject({ cache: "hit", body: odd });
  });

  it("is a stream with whatever stands between its events", async () => {
    const cache = await CacheHost.start();
    const list = events("hi");
    const [role = "", ...rest] = list;
    const variants: Record<string, string[]> = {
      "keep-alives": [": ping\n\n", role, ":\n\n", ...rest],
      "a retry": ["retry: 3000\n\n", ...list],
      "events of a role only": [role, role, ...rest],
      "an event without choices": [
        role,
        'data: {"id":"c1","object":"chat.completion.chunk","choices":[],"prompt_filter_results":[]}\n\n',
        ...rest,
      ],
      "usage at the end": [
        ...list.slice(0, -1),
        'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n',
        "data: [DONE]\n\n",
      ],
      CRLF: list.map((one) => one.replaceAll("\n", "\r\n")),
      CR: list.map((one) => one.replaceAll("\n", "\r")),
      "no space behind the colon": list.map((one) => one.replaceAll("data: ", "data:")),
      "a byte order mark": [`\ufeff${role}`, ...rest],
      ids: list.map((one, i) => `id: ${i}\n${one}`),
      "an empty comment at the end": [...list, ": bye\n\n"],
      "one piece": [list.join("")],
      "single bytes": [...list.join("")],
      "empty pieces": list.flatMap((one) => [one, ""]),
    };
    for (const [name, pieces] of Object.entries(variants)) {
      const body = say(name, { stream: true });
      cache.call(body, stream(pieces));
      expect([name, cache.call(body, "other")]).toEqual([
        name,
        expect.objectContaining({ cache: "hit", body: pieces.join("") }),
      ]);
    }
  });

  it("is one that ended at its limit", async () => {
    const cache = await CacheHost.start();
    const at = (from: string, to: string, text: string) => text.replace(from, to);
    expect(isKept(cache, say("a"), at('"stop"', '"length"', document("x")))).toBe(true);
    expect(
      isKept(
        cache,
        cachedApis.messages.request("a"),
        at("end_turn", "max_tokens", cachedApis.messages.document("x")),
        to("messages"),
      ),
    ).toBe(true);
    const cut = at(
      '"completed"',
      '"incomplete","incomplete_details":{"reason":"max_output_tokens"}',
      cachedApis.responses.document("x"),
    );
    expect(isKept(cache, cachedApis.responses.request("a"), cut, to("responses"))).toBe(true);
  });

  it("comes with trailers, which are not kept", async () => {
    const cache = await CacheHost.start();
    const first = cache.ask(say("q"));
    first.responseHeaders({
      ":status": "200",
      "content-type": "application/json",
      trailer: "x-t",
      a: "1",
      b: "2",
      c: "3",
    });
    first.responseBody(document("x")).responseTrailers({ "x-t": "1" });
    const again = cache.ask(say("q"));
    expect(seen(again)).toMatchObject({ cache: "hit", body: document("x") });
    expect(again.downstream.trailers).toBeUndefined();
  });
});
