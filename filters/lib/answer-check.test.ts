import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answers,
  compare,
  eventsOf,
  like,
  steps,
  text,
  verdictOf,
  whole,
  wholeStreams,
} from "../../test/lib/answer-check-corpus.ts";
import {
  type Answer,
  type Api,
  judge,
  judgeEveryCut,
  judgePieces,
  shortNames,
} from "../../test/lib/answer-check-driver.ts";
import { expected } from "../../test/lib/answer-check-reference.ts";

/** Behind so many bytes it may be whole; no sooner. */
function terminal(answer: Answer): number {
  const { api, form, bytes } = answer;
  if (form !== "events" || api === "gemini") {
    const end = bytes.toString("latin1").trimEnd().length;
    if (form !== "events") return end;
    // The blank line of the last event; of CRLF the CR ends it.
    return end + (bytes[end] === 0x0d ? 3 : 2);
  }
  const names = { anthropic: '"message_stop"', responses: '"type":"response.' } as Partial<Record<Api, string>>;
  const at = bytes.lastIndexOf(names[api] ?? "data: [DONE]");
  return bytes.indexOf("\n\n", at) + 2;
}

describe.each(answers)("$name", (answer) => {
  const verdict = verdictOf(answer.name);

  it(`is ${verdict}, in pieces of any size`, () => {
    expect(judge(answer)).toBe(verdict);
    for (const step of steps) expect([step, judgePieces(answer, step)]).toEqual([step, verdict]);
    const want = expected(answer);
    expect(want === "no JSON" ? "unknown" : want).toBe(verdict);
  });

  it("is not whole when it is cut anywhere before its end", () => {
    const cuts = judgeEveryCut(answer);
    const first = cuts.indexOf("whole") + 1;
    expect(first).toBe(verdict === "whole" ? terminal(answer) : 0);
    for (const [i, cut] of cuts.entries()) {
      if (cut === "whole") expect(expected({ ...answer, bytes: answer.bytes.subarray(0, i + 1) })).toBe("whole");
    }
  });

  it("is nothing of another API and of no other form", () => {
    for (const api of Object.values(shortNames)) {
      for (const form of ["document", "events", "array"] as const) {
        if (form === answer.form && api === answer.api) continue;
        const got = judge({ ...answer, api, form });
        if (form === answer.form) compare({ ...answer, api, form }, got);
        else expect(got).not.toBe("whole");
      }
      expect(judge({ ...answer, api: "other" })).not.toBe("whole");
    }
  });
});

describe.each(whole)("$name, changed", (answer) => {
  it("is whole in other spellings", () => {
    const body = text(answer).replaceAll("\r\n", "\n");
    const spellings = [`\ufeff${body}`];
    if (answer.form !== "events") spellings.push(`${body}\n \r\n\t`, ` \n${body}`, body.replaceAll("\n", "\r\n"));
    else {
      for (const end of ["\r\n", "\r"]) spellings.push(body.replaceAll("\n", end));
      spellings.push(body.replaceAll("\n\n", "\n\n: keep-alive\n\n"), `:\n\n${body}: done\n\n\n`);
      spellings.push(body.replaceAll("\n\n", "\nid: 7\nretry: 10\n\n"), body.replaceAll("data: ", "data:"));
    }
    for (const spelling of spellings) {
      const other = like(answer, spelling);
      if (answer.form === "array" && spelling.startsWith("\ufeff")) continue;
      for (const step of steps) expect([spelling, step, judgePieces(other, step)]).toEqual([spelling, step, "whole"]);
    }
  });

  it("is not whole with something behind it", () => {
    for (const tail of [
      "x",
      "{}",
      "data: {",
      "data",
      '{"error":{}}\n\n',
      "data: {}\n\n",
      "event: x\n\n",
      "\u0000",
      "id: 7\n\n",
      "data: {}\n",
      "event: x\n",
      "retry: 7\r",
    ]) {
      // For Gemini another event may follow, if it says nothing of candidates.
      if (answer.api === "gemini" && tail === "id: 7\n\n") continue;
      for (const step of [1, 4096]) {
        const got = judgePieces(like(answer, text(answer) + tail), step);
        expect([tail, got]).not.toEqual([tail, "whole"]);
      }
    }
  });
});

describe.each(wholeStreams)("$name, events changed", (answer) => {
  const events = eventsOf(answer);

  it("with one left out, or there twice", () => {
    for (const i of events.keys()) {
      for (const changed of [events.toSpliced(i, 1), events.toSpliced(i, 0, events[i] ?? "")]) {
        const other = like(answer, changed.join(""));
        compare(other, judge(other));
      }
    }
    // The last events are what a stream that breaks off lacks; Gemini's last is the only one that says so.
    expect(judge(like(answer, events.slice(0, -1).join("")))).toBe(
      answer.name.startsWith("recorded-dynamo") && answer.api !== "chat" && answer.api !== "completions"
        ? "whole"
        : answer.name.includes("responses-stream-tools") && answer.name.includes("litellm")
          ? "whole"
          : "truncated",
    );
  });

  it("with one that is cut before its end", () => {
    for (const [i, event] of events.entries()) {
      if (event.startsWith(":")) continue;
      const cut = event.trimEnd().slice(0, -1);
      const other = like(answer, events.with(i, `${cut}\n\n`).join(""));
      expect([i, judge(other)]).not.toEqual([i, "whole"]);
    }
  });

  it("with one that is nearly like the one before", () => {
    // Byte by byte no event is compared with the one before: both ways have to agree.
    const byte = fc.constantFrom(...'"\\{}[]:,0-1e tfn\u0001', ..."abc");
    const change = fc.tuple(fc.nat(), fc.constantFrom("delete", "insert", "replace"), byte);
    fc.assert(
      fc.property(
        fc.nat(events.length - 1),
        fc.nat(3),
        fc.array(change, { minLength: 1, maxLength: 2 }),
        (at, copies, changes) => {
          const event = events[at] ?? "";
          let other = event;
          for (const [where, how, letter] of changes) {
            // Not in the blank line.
            const place = where % Math.max(other.trimEnd().length, 1);
            const after = place + (how === "insert" ? 0 : 1);
            other = other.slice(0, place) + (how === "delete" ? "" : letter) + other.slice(after);
          }
          const changed = like(
            answer,
            events.toSpliced(at, 0, ...Array<string>(copies).fill(event), other, event).join(""),
          );
          const got = judge(changed);
          expect([other, got]).toEqual([other, judgePieces(changed, 1)]);
          expect(judgePieces(changed, 700)).toBe(got);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("with texts, numbers and spaces that differ", () => {
    fc.assert(
      fc.property(
        fc.nat(events.length - 1),
        fc.array(fc.string({ unit: "grapheme", maxLength: 30 }), { maxLength: 5 }),
        fc.nat(),
        (at, texts, number) => {
          const event = events[at] ?? "";
          const others = texts.map((one) =>
            event
              .replace(
                /"(content|text|delta|arguments)": ?"[^"\\]*"/g,
                (_, name: string) => `"${name}":${JSON.stringify(one)}`,
              )
              .replace(/("(?:sequence_number|created|output_tokens)": ?)\d+/g, (_, name: string) => `${name}${number}`)
              .replace(/ *\}(\s*)$/, (_, end: string) => `${" ".repeat(number % 5)}}${end}`),
          );
          const changed = like(answer, events.toSpliced(at, 1, event, ...others).join(""));
          compare(changed, judge(changed));
          expect(judgePieces(changed, 1)).toBe(judge(changed));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("with an error between any two", () => {
    const errors = [
      'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
      'data: {"error":{"message":"Service temporarily unavailable","code":503}}\n\n',
      'data: {"error":"gone"}\n\n',
      "event: error\ndata: upstream is gone\n\n",
      "event:error\n\n",
    ];
    const foreign = [
      '{"error":{"message":"gone"}}\n\n',
      "upstream connect error or disconnect/reset before headers. reset reason: overflow\n\n",
      "<html><body>502</body></html>\n",
      "data: gone\n\n",
      "data:\n\n",
      "data\n\n",
      "data: []\n\n",
      "data: null\n\n",
      "data: {}{}\n\n",
      'data: {"detail":"gone"}\n\n',
      "data: [DONE] x\n\n",
      "data: [DONE]\ndata: x\n\n",
      "data: [DON\n\n",
      "event: gone\n\n",
    ];
    for (let i = 0; i <= events.length; i++) {
      for (const error of errors)
        expect([i, judge(like(answer, events.toSpliced(i, 0, error).join("")))]).toEqual([i, "error"]);
      for (const line of foreign) {
        expect([i, line, judge(like(answer, events.toSpliced(i, 0, line).join("")))]).toEqual([i, line, "unknown"]);
      }
    }
  });
});
