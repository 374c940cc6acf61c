import { describe, expect, it } from "vitest";
import { decodeGet, decodePut, encodeFound, encodeStored } from "../../xds-server/state/answers/protocol.ts";
import type { SimilarQuestion } from "../../xds-server/state/answers/semantic/index.ts";
import { CacheHost, document, open, say, seen } from "./cache-driver.ts";
import type { Headers } from "./router-driver.ts";

/** Answers to questions that are alike: what the filter tells the service of a question, and what it does with such an answer. */

interface Put {
  readonly key: string;
  readonly value: Buffer;
  readonly partition: string | undefined;
  readonly text: string | undefined;
}

/** A service that finds every question of a partition like every other, by so many thousandths. */
async function start(more: object = { semantic: { threshold: 0.9 } }, permille = 953) {
  const config = { tenantHeader: "x-t", service: { cluster: "answers", timeoutMs: 500 }, ...open(more) };
  const cache = await CacheHost.start(config);
  const asked: (SimilarQuestion | undefined)[] = [];
  const puts: Put[] = [];
  cache.host.callouts.onGrpcCall("answers", (call) => {
    const message = call.sent[0] ?? new Uint8Array();
    if (call.method.endsWith("Get")) {
      const { key, question } = decodeGet(message);
      asked.push(question);
      const exact = puts.find((put) => put.key === key);
      if (exact !== undefined) return { messages: [encodeFound(0, exact.value)] };
      const like = puts.find(({ partition }) => partition !== undefined && partition === question?.partition);
      if (like === undefined) return { messages: [new Uint8Array()] };
      return { messages: [encodeFound(0, like.value, { key: like.key, permille })] };
    }
    if (!call.method.endsWith("Put")) return "hold";
    const { key, value, question } = decodePut(message);
    puts.push({ key, value: Buffer.from(value), partition: question?.partition, text: question?.text });
    return { messages: [encodeStored(true)] };
  });
  const call = (body: object | string, answer = document("x"), headers: Headers = []) => {
    const stream = cache.ask(body, headers);
    cache.host.advance(0);
    if (stream.localReply === undefined && stream.upstream.ended) cache.answer(stream, answer);
    cache.host.advance(0);
    return seen(stream);
  };
  /** What the service is told of the words of a question. */
  const told = (body: object | string, headers: Headers = []) => {
    call(body, document("x"), headers);
    return asked.at(-1);
  };
  return { cache, asked, puts, call, told };
}

const user = (content: unknown) => ({ role: "user", content });

describe("a question that is like another", () => {
  it("gets its answer, which stays the other's", async () => {
    const { cache, asked, puts, call } = await start();
    const first = call(say("How tall is it?"), document("828 m"));
    expect(first).toMatchObject({ upstream: true, cache: "miss" });
    expect(asked).toEqual([
      { partition: expect.stringMatching(/^[0-9a-f]{32}$/), text: "How tall is it?", permille: 900 },
    ]);
    expect(puts).toMatchObject([{ text: "How tall is it?", partition: asked[0]?.partition }]);
    for (let i = 0; i < 2; i++) {
      const like = call(say("What height does it have?"));
      expect(like).toMatchObject({ upstream: false, cache: "hit", body: document("828 m") });
      expect(like.headers).toMatchObject({
        "x-llm-cache-similarity": "0.953",
        "x-llm-cache-key": first.headers["x-llm-cache-key"],
      });
    }
    // Neither this Envoy nor the service has it under the key of the second question.
    expect([asked.length, puts.length]).toEqual([3, 1]);
    expect(call(say("How tall is it?")).headers["x-llm-cache-similarity"]).toBeUndefined();
    expect(cache.counters("requests")).toEqual({
      "rule=all;outcome=hit": 1,
      "rule=all;outcome=miss": 1,
      "rule=all;outcome=similar": 2,
    });
    expect(cache.trapped).toBe(false);
  });

  it("does not, where the rule does not say so", async () => {
    const { asked, puts, call } = await start({});
    call(say("a"));
    expect(call(say("b"))).toMatchObject({ upstream: true, cache: "miss" });
    expect([asked, puts.map(({ text }) => text)]).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });

  it("does not, when the service gives what it was not asked for", async () => {
    const { call, puts } = await start({ semantic: true });
    call(say("a"));
    const alone = await start({});
    alone.puts.push(...puts.map((put) => ({ ...put, partition: undefined })));
    alone.cache.host.callouts.onGrpcCall("answers", (one) =>
      one.method.endsWith("Get") && puts[0]
        ? { messages: [encodeFound(0, puts[0].value, { key: puts[0].key, permille: 999 })] }
        : "hold",
    );
    expect(alone.call(say("b"))).toMatchObject({ upstream: true, cache: "miss" });
  });

  it("is told as it reads, whatever its spelling, and by the service's threshold if the rule has none", async () => {
    const { told } = await start({ semantic: true });
    const spelt = '{"model":"m","messages":[{"content":"gr\\u00fc\\u00df \\"dich\\"\\n","role":"user"}]}';
    expect(told(spelt)).toMatchObject({ text: 'grüß "dich"\n', permille: 0 });
    expect(told(say("grüß dich"))?.partition).toBe(told(spelt)?.partition);
  });

  it("has a partition that everything but its words changes", async () => {
    const { told } = await start();
    const base = {
      model: "m",
      messages: [{ role: "system", content: "s" }, user("a"), { role: "assistant", content: "b" }, user("c")],
    };
    const partition = told(base)?.partition;
    expect(partition).toBeDefined();
    expect(told({ ...base, messages: [...base.messages.slice(0, 3), user("other words")] })?.partition).toBe(partition);
    const others: [object, Headers?][] = [
      [{ ...base, model: "n" }],
      [{ ...base, max_tokens: 5 }],
      [{ ...base, stream: true }],
      [{ ...base, messages: [{ role: "system", content: "t" }, ...base.messages.slice(1)] }],
      [{ ...base, messages: [...base.messages.slice(0, 1), user("x"), ...base.messages.slice(2)] }],
      [{ ...base, messages: base.messages.slice(1) }],
      [{ ...base, messages: [...base.messages.slice(0, 3), { ...user("c"), name: "n" }] }],
      [{ ...base, messages: [...base.messages.slice(0, 3), user([{ type: "text", text: "c" }])] }],
      [
        {
          ...base,
          messages: [
            ...base.messages.slice(0, 3),
            user([
              { type: "text", text: "c" },
              { type: "image_url", image_url: { url: "u" } },
            ]),
          ],
        },
      ],
      [base, [["x-t", "acme"]]],
      [base, [[":authority", "other"]]],
      [base, [[":path", "/other/v1/chat/completions"]]],
    ];
    const seenParts = others.map(([body, headers]) => told(body, headers ?? [])?.partition);
    expect(seenParts).not.toContain(undefined);
    expect(new Set([partition, ...seenParts]).size).toBe(others.length + 1);
  });

  it("stands for itself only: other questions are told by their key alone", async () => {
    const { told } = await start();
    const long = "x".repeat(8_193);
    expect(told(say("x".repeat(8_192)))?.text).toHaveLength(8_192);
    for (const body of [
      say(long),
      say(""),
      { model: "m", messages: [user("a"), { role: "assistant", content: "b" }] },
      {
        model: "m",
        messages: [
          user([
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ]),
        ],
      },
      { model: "m", messages: [user([{ type: "image_url", image_url: { url: "u" } }])] },
      { model: "m", messages: [user("a"), { role: "tool", tool_call_id: "1", content: "b" }] },
      { model: "m", padding: "y".repeat(70_000), messages: [user("a")] },
    ]) {
      expect([JSON.stringify(body).slice(0, 200), told(body)]).toEqual([expect.any(String), undefined]);
    }
    expect(told({ model: "m", input: "a" }, [[":path", "/v1/embeddings"]])).toBeUndefined();
    expect(told({ model: "m", input: "a" }, [[":path", "/v1/responses"]])?.text).toBe("a");
    expect(told({ model: "m", prompt: "a" }, [[":path", "/v1/completions"]])?.text).toBe("a");
    expect(told({ model: "m", max_tokens: 5, messages: [user("a")] }, [[":path", "/v1/messages"]])?.text).toBe("a");
  });
});
