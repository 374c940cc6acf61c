import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Api,
  begin,
  end,
  moments,
  piecesOf,
  put,
  type Stream,
  type Usage,
  wasm,
} from "../../test/lib/stream-ending-driver.ts";
import { decode, endingOf, overAt, places } from "../../test/lib/stream-ending-reference.ts";
import { transcripts } from "../../test/lib/transcripts.ts";

const shortNames: Record<string, Api> = {
  "openai.chat": "chat",
  "openai.completions": "completions",
  "openai.responses": "responses",
  "anthropic.messages": "anthropic",
  "gemini.generate": "gemini",
};

interface Named extends Stream {
  name: string;
}

const streams: Named[] = transcripts
  .filter(
    ({ api, name, answerType }) =>
      api in shortNames && (answerType.startsWith("text/event-stream") || name.includes("-array")),
  )
  .map(({ api, name, answerBody }) => ({
    name,
    api: shortNames[api] as Api,
    array: name.includes("-array"),
    bytes: answerBody,
  }));

const usage: Usage = { asked: true, input: 12, output: 34 };

/** What came behind the cut, parsed. */
function parsed(stream: Stream, passed: number, ending: string): unknown[] {
  if (stream.array !== true) {
    // Every event names its type a second time where the API does.
    return decode(ending).map(({ event, data }) => {
      if (data === "[DONE]") return data;
      const document = JSON.parse(data) as { type?: string };
      const named = stream.api === "anthropic" || stream.api === "responses";
      expect(event).toBe(named ? document.type : "");
      return document;
    });
  }
  const before = JSON.parse(
    `${stream.bytes.subarray(0, passed).toString().trim().replace(/,$/, "")}]`.replace(/^\]/, "[]"),
  ) as unknown[];
  const all = JSON.parse(stream.bytes.subarray(0, passed).toString() + ending) as unknown[];
  expect(all.slice(0, before.length)).toEqual(before);
  return all.slice(before.length);
}

/** Ends the stream after every piece and compares with the reference. Returns the places at which it could be cut. */
function endEverywhere(stream: Stream, ends: readonly number[], asked = usage): Set<number> {
  const { whole, split } = places(stream);
  const endings = new Map<number, string>();
  let from = 0;
  let number = 0;
  for (const moment of moments(stream, ends, asked)) {
    const to = ends[number++] ?? 0;
    let cut: number | undefined;
    for (let at = from; at <= to; at++) if (whole.has(at) || ((at === from || at === to) && split.has(at))) cut = at;
    from = to;
    if (overAt(stream) <= to) {
      expect([to, moment]).toEqual([to, { cut: moment.cut, over: true, ending: "" }]);
      continue;
    }
    expect([to, moment]).toEqual([to, { ...moment, cut, over: false }]);
    if (cut === undefined) continue;
    if (endings.get(cut) !== undefined) {
      expect(moment.ending).toBe(endings.get(cut));
      continue;
    }
    endings.set(cut, moment.ending);
    const expected = endingOf(stream, cut, asked);
    expect([cut, parsed(stream, cut, moment.ending)]).toEqual([cut, expected]);
    // The LF of a CR that may be half a line end comes first; a blank line more harms nobody.
    const halfLine = stream.array !== true && stream.bytes[cut - 1] === 0x0d;
    expect(moment.ending.startsWith("\n") || stream.array === true).toBe(halfLine || stream.array === true);
  }
  return new Set(endings.keys());
}

describe.each(streams)("$name", (stream) => {
  it.each([1, 2, 7])("stopped at every piece of %i bytes", (step) => {
    const cuts = endEverywhere(stream, piecesOf(stream.bytes.length, step));
    // Pieces of a byte find every place.
    const all = [...places(stream).whole].filter((at) => at > 0 && at < overAt(stream));
    if (step === 1) expect([...cuts]).toEqual(expect.arrayContaining(all));
    expect(cuts.size).toBeGreaterThan(0);
  });

  it("stopped in any pieces", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: stream.bytes.length - 1 }), { maxLength: 12 }), (ends) => {
        endEverywhere(stream, [...ends.sort((a, b) => a - b), stream.bytes.length], { ...usage, asked: false });
      }),
      { numRuns: 20 },
    );
  });
});

describe("made-up streams", () => {
  const text = fc.oneof(
    { weight: 4, arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "",
        'a\u0001\n\u001f"\\\t',
        "[DONE]",
        "\ud83d\ude00",
        "x".repeat(256),
        "x".repeat(257),
        "é".repeat(200),
      ),
    },
  );
  const index = fc.oneof(
    { weight: 5, arbitrary: fc.nat(2) },
    { weight: 1, arbitrary: fc.constantFrom(15, 16, 4_000_000) },
  );
  const names = { id: text, model: text, created: fc.constantFrom(0, 1, 1_763_712_500) };
  const finish = fc.constantFrom(null, null, null, "stop", "length");
  const noise = fc.constantFrom(
    {},
    { error: null },
    { x: { choices: [{ index: 1, finish_reason: "stop" }], id: "no", candidates: [{ finishReason: "X" }] } },
  );
  const failure = fc.constantFrom({ error: { message: "m" } }, { type: "error", error: {} });
  const partOf = (reason: string, content: string) =>
    fc
      .tuple(fc.record({ index, [content]: fc.anything({ maxDepth: 2 }) }, { requiredKeys: [] }), finish)
      .map(([part, why]) => ({ ...part, [reason]: why }));
  const usageOf = fc.constantFrom({}, {}, { usage: null }, { usage: { prompt_tokens: 1 } });
  const chunk = fc
    .tuple(
      noise,
      fc.record(names, { requiredKeys: [] }),
      fc.array(partOf("finish_reason", "delta"), { maxLength: 3 }),
      usageOf,
    )
    .map(([extra, head, choices, counts]) => ({ ...extra, ...head, choices, ...counts }));
  const candidate = fc
    .tuple(
      noise,
      fc.record({ responseId: text, modelVersion: text }, { requiredKeys: [] }),
      fc.array(partOf("finishReason", "content"), { maxLength: 3 }),
    )
    .map(([extra, head, candidates]) => ({ ...extra, ...head, candidates }));
  const message = fc
    .tuple(
      noise,
      fc.constantFrom(
        "message_start",
        "content_block_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "ping",
      ),
      fc.record({ index }, { requiredKeys: [] }),
      fc.constantFrom({}, { stop_reason: null }, { stop_reason: "end_turn" }, { text: "stop_reason" }),
    )
    .map(([extra, type, place, delta]) => ({ ...extra, type, ...place, delta }));
  const response = fc
    .tuple(
      noise,
      fc.constantFrom(
        "response.created",
        "response.in_progress",
        "response.output_text.delta",
        "response.output_item.added",
      ),
      fc.record({ sequence_number: fc.nat(999) }, { requiredKeys: [] }),
      fc.record({ id: text, model: text, created_at: names.created }, { requiredKeys: [] }),
    )
    .map(([extra, type, number, head]) => ({ ...extra, type, ...number, response: head }));
  const documents: Partial<Record<Api, fc.Arbitrary<object>>> = {
    chat: chunk,
    completions: chunk,
    anthropic: message,
    responses: response,
    gemini: candidate,
  };
  const lineEnd = fc.constantFrom("\n", "\n", "\r\n", "\r");
  /** An event of a document, or something that is none. */
  const eventOf = (document: fc.Arbitrary<object>) =>
    fc
      .record({
        document: fc.oneof({ weight: 12, arbitrary: document }, { weight: 1, arbitrary: failure }),
        before: fc.array(
          fc.constantFrom(": note", "event: message", "id: 7", "retry: 10", ":", "data", "dat: x", "databases: x"),
          { maxLength: 2 },
        ),
        space: fc.constantFrom("", " "),
        pretty: fc.boolean(),
        instead: fc.option(
          fc.constantFrom(
            "data: {not json",
            "data: [DONE",
            "data:[]",
            "data: 7",
            ": nothing",
            'data: {"choices":[{"index":0}',
          ),
          { freq: 12 },
        ),
        end: lineEnd,
      })
      .map(({ document, before, space, pretty, instead, end }) => {
        const lines = JSON.stringify(document, null, pretty ? 1 : 0).split("\n");
        return [
          ...before,
          ...(instead === null ? lines.map((line) => `data:${space}${line}`) : [instead]),
          "",
          "",
        ].join(end);
      });
  const doneOf = fc.constantFrom("", "", "data: [DONE]\n\n", "data:[DONE]\r\n\r\n");

  it.each(Object.keys(documents) as Api[])("%s", (api) => {
    const events = fc.array(eventOf(documents[api] ?? fc.constant({})), { maxLength: 6 });
    const stream = fc
      .tuple(fc.constantFrom("", "", "\ufeff"), events, doneOf)
      .map(([mark, parts, done]) => mark + parts.join("") + done);
    fc.assert(
      fc.property(stream, fc.integer({ min: 1, max: 40 }), fc.boolean(), (body, step, asked) => {
        const bytes = Buffer.from(body);
        if (bytes.length > 0) endEverywhere({ api, bytes }, piecesOf(bytes.length, step), { ...usage, asked });
      }),
      { numRuns: 600 },
    );
  });

  it("gemini, as an array", () => {
    const space = fc.constantFrom("", "\n", " ", "\r\n");
    const array = fc
      .tuple(fc.array(candidate, { maxLength: 4 }), space, space, fc.boolean())
      .map(([objects, before, behind, pretty]) => {
        const all = objects.map((one) => JSON.stringify(one, null, pretty ? 2 : 0)).join(`${before},${behind}`);
        return `${before}[${behind}${all}${before}]${behind}`;
      });
    fc.assert(
      fc.property(array, fc.integer({ min: 1, max: 40 }), (body, step) => {
        const bytes = Buffer.from(body);
        endEverywhere({ api: "gemini", array: true, bytes }, piecesOf(bytes.length, step));
      }),
      { numRuns: 200 },
    );
  });
});

describe("an ending", () => {
  const event = (document: object) => `data: ${JSON.stringify(document)}\n\n`;

  it("is not known for other answers", () => {
    const known = (["chat", "completions", "responses", "anthropic", "gemini", "embeddings", "other"] as Api[]).map(
      (api) => [begin({ api, bytes: Buffer.alloc(0) }), begin({ api, array: true, bytes: Buffer.alloc(0) })],
    );
    expect(known).toEqual([
      [true, false],
      [true, false],
      [true, false],
      [true, false],
      [true, true],
      [false, false],
      [false, false],
    ]);
  });

  it("of a stream that has not begun is a whole stream", () => {
    for (const api of ["chat", "completions", "responses", "anthropic", "gemini"] as const) {
      const stream = { api, bytes: Buffer.from(": wait\n\n") };
      expect(endEverywhere(stream, [3, 8])).toEqual(new Set([0, 8]));
    }
    const array = { api: "gemini", array: true, bytes: Buffer.from(" \n") } as const;
    for (const { ending } of moments(array, [1, 2], usage))
      expect(JSON.parse(ending)).toEqual(endingOf(array, 0, usage));
  });

  it("counts what is not known as nothing", () => {
    begin({ api: "chat", bytes: Buffer.alloc(0) });
    expect(end({ asked: true, input: -1, output: -1 })).toContain(
      '"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}',
    );
    expect(end({ asked: true, input: 2 ** 52, output: 1 })).toContain(
      '"prompt_tokens":4503599627370496,"completion_tokens":1',
    );
  });

  it("fits its buffer with the longest names and the most parts", () => {
    const name = "\u0001".repeat(256);
    const choices = Array.from({ length: 40 }, (_, index) => ({ index, finish_reason: null }));
    const bytes = Buffer.from(event({ id: name, model: name, created: 9_007_199_254_740_991, choices }));
    for (const api of ["chat", "completions"] as const) {
      const [moment] = moments({ api, bytes }, [bytes.length], {
        asked: true,
        input: 2 ** 53 - 1,
        output: 2 ** 53 - 1,
      });
      const [first, second, done] = decode(moment?.ending ?? "").map(({ data }) => data);
      expect(JSON.parse(first ?? "")).toMatchObject({ id: name, model: name });
      expect((JSON.parse(first ?? "") as { choices: unknown[] }).choices).toHaveLength(16);
      expect([JSON.parse(second ?? "").model, done]).toEqual([name, "[DONE]"]);
    }
  });

  it("says for how long an event is open", () => {
    const stream = { api: "chat", bytes: Buffer.from(`${event({ choices: [] })}data: ${"x".repeat(70_000)}`) } as const;
    const before = stream.bytes.indexOf("data: x");
    const found: number[] = [];
    for (const _ of moments(stream, [before - 1, before, before + 5, before + 60_000, stream.bytes.length]))
      found.push(wasm.openBytes());
    expect(found).toEqual([before - 1, 0, 5, 60_000, 70_006]);
  });

  it("is of its own stream", () => {
    const bytes = Buffer.from(event({ id: "a", choices: [{ index: 3 }] }));
    const at = put(bytes);
    begin({ api: "chat", bytes });
    wasm.otherBegin(0, false);
    wasm.feed(at, 12);
    wasm.otherFeed(put(Buffer.from(event({ id: "b", choices: [{ index: 5 }] }))), 40);
    wasm.feed(put(bytes) + 12, bytes.length - 12);
    expect(end(usage)).toContain('"id":"a"');
    expect(end(usage)).toContain('"index":3');
    expect(end(usage)).not.toContain('"index":5');
    // The same object for the next stream remembers nothing.
    begin({ api: "chat", bytes });
    expect(end(usage)).toContain("chatcmpl-stopped");
    begin({ api: "anthropic", bytes });
    expect(end(usage)).toContain("msg_stopped");
  });

  it("takes no memory of its own", () => {
    const [stream] = streams;
    if (stream === undefined) throw new Error("no transcripts");
    const at = put(stream.bytes);
    const pages = wasm.pages();
    for (let i = 0; i < 3000; i++) {
      begin(stream);
      wasm.feedAll(at, stream.bytes.length, 300);
      wasm.end(true, i, i);
    }
    expect(wasm.pages()).toBe(pages);
  });
});
