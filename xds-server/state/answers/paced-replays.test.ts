import fc from "fast-check";
import protobuf from "protobufjs";
import { beforeEach, describe, expect, it } from "vitest";
import {
  MAX_PACE_BYTES,
  MAX_PACE_PIECES,
  MAX_REPLAY_BYTES,
  MAX_REPLAY_MS,
  MAX_REPLAYS,
  PIECE_BYTES,
  REPLAY_CLAIM_MS,
} from "./limits.ts";
import { type PacedPiece, schedule } from "./pace.ts";
import { PacedReplays } from "./paced-replays.ts";

/** Recorded paces, and replays by them in turned time. */

const FULL = { speedPercent: 100, maxGapMs: 60_000 };

function pace(...pairs: readonly (readonly [gap: number, bytes: number])[]): Buffer {
  const writer = protobuf.Writer.create();
  for (const [gap, bytes] of pairs) writer.uint32(gap).uint32(bytes);
  return Buffer.from(writer.finish());
}

describe("a pace", () => {
  it("says when each piece is due; the first at once", () => {
    expect(schedule(pace([900, 3], [20, 4], [0, 1], [300, 2]), 10, FULL)).toEqual([
      { at: 0, end: 3 },
      { at: 20, end: 7 },
      { at: 20, end: 8 },
      { at: 320, end: 10 },
    ]);
  });

  it("is quickened, and no gap is longer than is wanted", () => {
    const at = (speedPercent: number, maxGapMs: number) =>
      schedule(pace([0, 1], [100, 1], [5_000, 1]), 3, { speedPercent, maxGapMs })?.map((piece) => piece.at);
    expect([at(200, 60_000), at(50, 60_000), at(100, 400), at(100, 0)]).toEqual([
      [0, 50, 2_550],
      [0, 200, 10_200],
      [0, 100, 500],
      [0, 0, 0],
    ]);
  });

  it("is compressed where all of it would take too long", () => {
    const long = Array.from({ length: 101 }, () => [60_000, 1] as const);
    const pieces = schedule(pace(...long), 101, { speedPercent: 10, maxGapMs: 60_000 });
    expect(pieces?.at(-1)?.at).toBeCloseTo(MAX_REPLAY_MS, 3);
    expect(pieces?.[50]?.at).toBeCloseTo(MAX_REPLAY_MS / 2, 3);
  });

  it.each([
    ["nothing", Buffer.alloc(0), 0],
    ["fewer bytes than the body", pace([0, 3]), 4],
    ["more bytes than the body", pace([0, 3], [0, 2]), 4],
    ["a piece without bytes", pace([0, 4], [0, 0]), 4],
    ["a cut number", pace([0, 4]).subarray(0, 1), 4],
    ["a number without end", Buffer.alloc(20, 0xff), 4],
    ["bytes that wrap around", pace([0, 0xffff_ffff], [0, 5]), 4],
    ["too many pieces", pace(...Array.from({ length: MAX_PACE_PIECES + 1 }, () => [0, 1] as const)), 1_025],
    ["too many bytes", Buffer.alloc(MAX_PACE_BYTES + 1, 1), MAX_PACE_BYTES],
  ])("of %s is none", (_what, bytes, length) => {
    expect(schedule(bytes, length, FULL)).toBeUndefined();
  });

  it("never throws, never goes back in time or bytes, and ends with the body", () => {
    const tempo = fc.record({ speedPercent: fc.integer({ min: 10, max: 10_000 }), maxGapMs: fc.nat(60_000) });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(300), tempo, (bytes, length, wanted) => {
        const pieces = schedule(bytes, length, wanted) ?? [];
        if (pieces.length > 0) expect([pieces[0]?.at, pieces.at(-1)?.end]).toEqual([0, length]);
        pieces.reduce(
          (before, piece) => {
            expect(piece.at).toBeGreaterThanOrEqual(before.at);
            expect(piece.end).toBeGreaterThan(before.end);
            return piece;
          },
          { at: 0, end: 0 } as PacedPiece,
        );
      }),
    );
  });
});

/** Time that goes when it is told to. */
class TurnedTime {
  now = 1_000;
  ids = 0;
  timers = new Set<{ readonly at: number; readonly work: () => void }>();
  readonly elapsed = () => this.now;
  readonly newId = () => `id${this.ids++}`;
  readonly later = (work: () => void, ms: number) => {
    const timer = { at: this.now + ms, work };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  };
  /** To the point in time `at`, one timer after the other. */
  to(at: number): void {
    for (;;) {
      const next = [...this.timers].sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > at) break;
      this.timers.delete(next);
      this.now = Math.max(this.now, next.at);
      next.work();
    }
    this.now = at;
  }
}

let time: TurnedTime;
let results: string[];
let replays: PacedReplays;
beforeEach(() => {
  [time, results] = [new TurnedTime(), []];
  replays = new PacedReplays(time, (result) => results.push(result));
});

const HEAD = { contentType: "text/event-stream", key: undefined, askedAt: 0, cache: "hit" } as const;
const answer = (text: string, pieces: readonly PacedPiece[], identity = text) => ({
  head: HEAD,
  identity,
  body: Buffer.from(text),
  pieces,
});
const ABC = answer("aabbcc", [
  { at: 0, end: 2 },
  { at: 100, end: 4 },
  { at: 300, end: 6 },
]);

/** Takes so many pieces, then none until it is told to go on. */
class Sink {
  readonly got: [at: number, text: string][] = [];
  ended = false;
  room: number;
  constructor(room = Number.POSITIVE_INFINITY) {
    this.room = room;
  }
  write(bytes: Buffer): boolean {
    if (this.ended || this.room <= 0) throw new Error("nobody may write now");
    this.got.push([time.now - 1_000, bytes.toString()]);
    return --this.room > 0;
  }
  end(): void {
    if (this.ended) throw new Error("ended twice");
    this.ended = true;
  }
  cut(): void {
    throw new Error("a stored answer does not break off");
  }
  get text(): string {
    return this.got.map(([, text]) => text).join("");
  }
}

const read = (id: string | undefined, room?: number) => {
  const sink = new Sink(room);
  return Object.assign(sink, { follower: replays.find(id ?? "")?.read(sink) });
};

describe("a replay", () => {
  it("gives each piece when it is due, and is gone with the last", () => {
    const sink = read(replays.begin(ABC));
    expect(sink.got).toEqual([[0, "aa"]]);
    time.to(1_099);
    expect(sink.got.length).toBe(1);
    time.to(1_299);
    expect(sink.got).toEqual([
      [0, "aa"],
      [100, "bb"],
    ]);
    expect(sink.ended).toBe(false);
    time.to(2_000);
    expect([sink.got.at(-1), sink.ended]).toEqual([[300, "cc"], true]);
    expect([replays.size, replays.bytes, time.timers.size, results]).toEqual([0, 0, 0, ["complete"]]);
  });

  it("does not push who is slow, and gives what has become due meanwhile in one", () => {
    const sink = read(replays.begin(ABC), 1);
    time.to(1_250);
    expect([sink.text, time.timers.size]).toEqual(["aa", 0]);
    sink.room = 1;
    sink.follower?.resume();
    expect(sink.got.at(-1)).toEqual([250, "bb"]);
    time.to(9_000);
    expect(sink.text).toBe("aabb");
    sink.room = 1;
    sink.follower?.resume();
    expect([sink.text, sink.ended]).toEqual(["aabbcc", true]);
  });

  it("ends with its client, and nothing of it is left", () => {
    const sink = read(replays.begin(ABC));
    sink.follower?.leave();
    sink.follower?.leave();
    sink.follower?.resume();
    time.to(9_000);
    expect([sink.text, sink.ended]).toEqual(["aa", false]);
    expect([replays.size, replays.bytes, time.timers.size, results]).toEqual([0, 0, 0, ["left"]]);
  });

  it("whose client leaves while it is given something gives it nothing more", () => {
    const id = replays.begin(ABC);
    const got: string[] = [];
    const follower = replays.find(id ?? "")?.read({
      write: (bytes) => {
        got.push(bytes.toString());
        if (got.length === 2) follower?.leave();
        return true;
      },
      end: () => got.push("end"),
      cut: () => got.push("cut"),
    });
    time.to(9_000);
    expect([got, time.timers.size, results]).toEqual([["aa", "bb"], 0, ["left"]]);
  });

  it("is for one request, which has to come soon", () => {
    const id = replays.begin(ABC);
    expect(read(id).text).toBe("aa");
    expect(replays.find(id ?? "")?.read(new Sink())).toBeUndefined();
    const late = replays.begin(ABC);
    time.to(1_000 + REPLAY_CLAIM_MS);
    expect(replays.find(late ?? "")).toBeUndefined();
    expect([replays.size, results]).toEqual([0, ["complete", "unclaimed"]]);
  });

  it("gives all that is left at once when the service closes, and none begins", () => {
    const [begun, slow, waits] = [read(replays.begin(ABC)), read(replays.begin(ABC), 1), replays.begin(ABC)];
    replays.close();
    expect([begun.text, begun.ended, slow.ended]).toEqual(["aabbcc", true, false]);
    slow.room = 1;
    slow.follower?.resume();
    expect([slow.text, slow.ended]).toEqual(["aabbcc", true]);
    // It is on its way already.
    expect(read(waits).text).toBe("aabbcc");
    expect([replays.begin(ABC), replays.size, time.timers.size]).toEqual([undefined, 0, 0]);
  });

  it("shares its bytes with others of the same answer, as long as one lasts", () => {
    const ids = Array.from({ length: 1_000 }, () => replays.begin(ABC));
    const times = 3 * PIECE_BYTES;
    expect([replays.size, replays.bytes]).toEqual([1_000, 6 + 1_000 * times]);
    // The same name, but other bytes.
    const other = replays.begin(answer("aabbxx", ABC.pieces, ABC.identity));
    expect(replays.bytes).toBe(12 + 1_001 * times);
    const sinks = [...ids, other].map((id) => read(id));
    time.to(9_000);
    expect(new Set(sinks.map(({ text }) => text))).toEqual(new Set(["aabbcc", "aabbxx"]));
    expect([replays.size, replays.bytes, time.timers.size]).toEqual([0, 0, 0]);
  });

  it("is refused where there are too many, or too many bytes", () => {
    const half = "x".repeat(MAX_REPLAY_BYTES / 2 - 2 * PIECE_BYTES);
    const large = (name: string) => replays.begin(answer(half, [{ at: 0, end: half.length }], name));
    expect([large("a"), large("b")].includes(undefined)).toBe(false);
    // The same ones again take no more than their times.
    expect([large("a"), large("b")].includes(undefined)).toBe(false);
    expect([replays.bytes, replays.begin(ABC)]).toEqual([MAX_REPLAY_BYTES, undefined]);
    time.to(1_000 + REPLAY_CLAIM_MS);
    for (let i = 0; i < MAX_REPLAYS; i++) replays.begin(ABC);
    expect([replays.size, replays.begin(ABC)]).toEqual([MAX_REPLAYS, undefined]);
  });

  it("is byte-faithful and timely whatever its client does", () => {
    const gaps = fc.array(fc.tuple(fc.nat(500), fc.integer({ min: 1, max: 5 })), { minLength: 1, maxLength: 30 });
    const doings = fc.array(fc.record({ after: fc.nat(400), room: fc.integer({ min: 1, max: 3 }) }), { maxLength: 20 });
    fc.assert(
      fc.property(gaps, doings, (pairs, done) => {
        time = new TurnedTime();
        replays = new PacedReplays(time);
        const length = pairs.reduce((sum, [, bytes]) => sum + bytes, 0);
        const text = Array.from({ length }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
        const pieces = schedule(pace(...pairs), length, FULL) ?? [];
        const sink = read(replays.begin(answer(text, pieces)), 2);
        for (const { after, room } of done) {
          time.to(time.now + after);
          // As a stream does: told to go on only when it was full.
          if (sink.room > 0 || sink.ended) continue;
          sink.room = room;
          sink.follower?.resume();
        }
        let given = 0;
        for (const [at, part] of sink.got) {
          given += part.length;
          const last = pieces.find(({ end }) => end === given);
          expect(last?.at).toBeLessThanOrEqual(at);
        }
        replays.close();
        while (!sink.ended) {
          sink.room = 1;
          sink.follower?.resume();
        }
        expect(sink.text).toBe(text);
        expect([replays.size, replays.bytes, time.timers.size]).toEqual([0, 0, 0]);
      }),
    );
  });
});
