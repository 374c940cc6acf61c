import { describe, expect, it } from "vitest";
import { entryOf } from "../../../test/fixtures/answer-entry.ts";
import { PacedReplays } from "./paced-replays.ts";
import { beginReplay } from "./replay-calls.ts";

/** Which answers of a get are given as they came. */

const KEY = "000102030405060708090a0b0c0d0e0f";
const NO_HASH = "0".repeat(16);
const WANTED = { speedPercent: 100, maxGapMs: 1_000, of: 0, showKey: true };

function entry(contentType = "text/event-stream", isStream = true): Buffer {
  const made = entryOf({ contentType, body: "data: 1\n\n", storedAt: 5_000 });
  if (isStream) made.writeUInt8(1, 5);
  return made;
}

describe("an answer that was found", () => {
  const begin = (more: { replay?: object | undefined; found?: object; value?: Buffer } = {}) => {
    const replays = new PacedReplays({ elapsed: () => 0, later: () => () => {}, newId: () => "id" });
    const replay = "replay" in more ? (more.replay as typeof WANTED | undefined) : WANTED;
    const found = {
      value: more.value ?? entry(),
      ageMs: 0,
      paced: { pace: Buffer.from([0, 4, 7, 5]), storedAt: 5_000 },
    };
    const id = beginReplay(replays, { key: KEY, tenant: NO_HASH, model: NO_HASH, replay }, { ...found, ...more.found });
    return { id, replay: replays.find("id") };
  };

  it("is given as it came to who wants that, with the head of a hit", () => {
    const { id, replay } = begin();
    expect([id, replay?.head]).toEqual([
      "id",
      { contentType: "text/event-stream", key: KEY, askedAt: 5_000, cache: "hit" },
    ]);
    const got: string[] = [];
    replay?.read({ write: (bytes) => got.push(bytes.toString()) > 0, end: () => {}, cut: () => {} });
    expect(got).toEqual(["data"]);
    expect(begin({ replay: { ...WANTED, showKey: false } }).replay?.head.key).toBeUndefined();
    expect(begin({ replay: { ...WANTED, of: 5_000 } }).id).toBe("id");
  });

  it.each([
    ["nobody wants it so", { replay: undefined }],
    ["it is another one than the filter has", { replay: { ...WANTED, of: 4_999 } }],
    ["nobody knows how it came", { found: { paced: undefined } }],
    ["it is to another question", { found: { similar: { key: KEY, permille: 990 } } }],
    ["its pace is another one's", { found: { paced: { pace: Buffer.from([0, 4, 7, 6]), storedAt: 5_000 } } }],
    ["it is a document", { value: entry("application/json", false) }],
    ["no header can hold its type", { value: entry("text/event-stream\r\nx: y") }],
  ])("is given at once when %s", (_what, more) => {
    expect(begin(more)).toEqual({ id: undefined, replay: undefined });
  });
});
