import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { schedule } from "../../xds-server/state/answers/pace.ts";
import { decodeGet, decodePut, encodeFound, encodeStored } from "../../xds-server/state/answers/protocol.ts";
import type { GrpcCall, GrpcOutcome } from "../host/callouts.ts";
import type { Stream } from "../host/index.ts";
import { CacheHost, type CacheOptions, document, events, open, say, seen } from "./cache-driver.ts";

/** Stored streams that are given again as they came: what is recorded, what the service is asked, and where requests go. What it does with it: xds-server/serve-paced.envoy.test.ts. */

const SSE = { ":status": "200", "content-type": "text/event-stream", a: "1", b: "2", c: "3", d: "4" };
const PIECES = events("paced");
const WHOLE = PIECES.join("");
const ID = "000102030405060708090a0b0c0d0e0f";
const FULL = { speedPercent: 100, maxGapMs: 60_000 };

async function start(paced: unknown = true, more: object = {}, options: CacheOptions = {}) {
  const config = { service: { cluster: "answers" }, purges: { cluster: "answers" }, ...open({ paced, ...more }) };
  const cache = await CacheHost.start(config, options);
  const puts: ReturnType<typeof decodePut>[] = [];
  const gets: ReturnType<typeof decodeGet>[] = [];
  const service: { get: (call: GrpcCall) => GrpcOutcome } = { get: () => ({ messages: [new Uint8Array()] }) };
  cache.host.callouts.onGrpcCall("answers", (call) => {
    const message = Buffer.from(call.sent[0] ?? []);
    if (call.method.endsWith("Get")) gets.push(decodeGet(message));
    if (call.method.endsWith("Get")) return service.get(call);
    if (!call.method.endsWith("Put")) return "hold";
    puts.push(decodePut(message));
    return { messages: [encodeStored(true)] };
  });
  cache.host.advance(1_500);
  const ask = (text = "q", body: object = { stream: true }, headers: [string, string][] = []) => {
    const stream = cache.ask(say(text, body), headers);
    cache.host.turn();
    cache.host.turn();
    return stream;
  };
  /** Answers with these pieces, so many ms apart. */
  const answer = (stream: Stream, pieces: readonly string[] = PIECES, gaps: readonly number[] = []) => {
    stream.responseHeaders(SSE, {});
    for (const [index, piece] of pieces.entries()) {
      cache.host.advance(gaps[index] ?? 0);
      stream.responseBody(piece, { endOfStream: index === pieces.length - 1 });
    }
    return stream;
  };
  return { cache, service, puts, gets, ask, answer };
}

const flightOf = (stream: Stream) => stream.upstream.headers?.get("x-llm-flight");
const replays = (value: Uint8Array = new Uint8Array()) => ({ messages: [encodeFound(0, value, undefined, ID)] });

describe("a stream that is stored", () => {
  it("says when its pieces came", async () => {
    const { puts, ask, answer } = await start();
    answer(ask(), PIECES, [700, 20, 30, 4, 4, 1_000, 90_000, 10]);
    const [put] = puts;
    const length = Buffer.byteLength(WHOLE);
    const ends: number[] = [];
    for (const piece of PIECES) ends.push((ends.at(-1) ?? 0) + Buffer.byteLength(piece));
    // What came within 5 ms is one piece, and no gap is longer than a minute.
    expect(schedule(put?.pace ?? Buffer.alloc(0), length, FULL)).toEqual([
      { at: 0, end: ends[0] },
      { at: 20, end: ends[1] },
      { at: 50, end: ends[3] },
      { at: 58, end: ends[4] },
      { at: 1_058, end: ends[5] },
      { at: 61_058, end: ends[6] },
      { at: 61_068, end: ends[7] },
    ]);
  });

  it("has a pace of bounded size, however long it is, which loses little", async () => {
    const { puts, ask, answer } = await start();
    const text = "x".repeat(1_500);
    const pieces = events(text);
    answer(
      ask(),
      pieces,
      Array.from({ length: pieces.length }, () => 7),
    );
    const schedules = schedule(puts[0]?.pace ?? Buffer.alloc(0), Buffer.byteLength(pieces.join("")), FULL) ?? [];
    expect(schedules.length).toBeGreaterThan(500);
    expect(schedules.length).toBeLessThanOrEqual(1_000);
    expect(schedules.at(-1)?.at).toBeGreaterThan(1_500 * 7 - 60);
    let end = 0;
    for (const [index, piece] of pieces.entries()) {
      end += Buffer.byteLength(piece);
      const at = schedules.find((one) => one.end >= end)?.at ?? Number.NaN;
      // Never later than it came, and at most a few steps earlier.
      expect(index * 7 - at).toBeGreaterThanOrEqual(0);
      expect(index * 7 - at).toBeLessThan(40);
    }
  });

  it("has none without the field, and neither have documents", async () => {
    const plain = await start(false);
    plain.answer(plain.ask());
    const paced = await start();
    const stream = paced.ask("d", {});
    paced.cache.answer(stream, document("x"));
    expect([plain.puts.length, paced.puts.length]).toEqual([1, 1]);
    expect([plain.puts[0]?.pace, paced.puts[0]?.pace, paced.gets[0]?.replay]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(plain.gets[0]?.replay).toBeUndefined();
  });
});

describe("a hit", () => {
  it("goes to the service, which gives it as it came, and is counted as one", async () => {
    const { cache, service, puts, gets, ask, answer } = await start({ speed: 1.5, maxGapMs: 400 });
    answer(ask());
    expect(gets[0]?.replay).toEqual({ speedPercent: 150, maxGapMs: 400, of: 0, showKey: true });
    service.get = () => replays();
    const hit = ask();
    const storedAt = Number(puts[0]?.value.readBigInt64LE(8));
    expect(gets[1]).toMatchObject({ key: puts[0]?.key, replay: { speedPercent: 150, maxGapMs: 400, of: storedAt } });
    expect([hit.paused.request, flightOf(hit), hit.localReply]).toEqual([false, ID, undefined]);
    // Its answer passes as it is, and is kept by nobody.
    hit.responseHeaders({ ...SSE, "x-llm-cache": "hit", age: "3" }, {});
    hit.responseBody("data: what the service says\n\n", { endOfStream: true });
    expect(seen(hit)).toMatchObject({ cache: "hit", body: "data: what the service says\n\n" });
    hit.end();
    expect([puts.length, cache.trapped]).toEqual([1, false]);
    cache.host.advance(1_000);
    expect(cache.counters("requests")).toEqual({ "rule=all;outcome=miss": 1, "rule=all;outcome=hit": 1 });
    expect(cache.counters("bytes")["rule=all;kind=served"]).toBe(Buffer.byteLength(WHOLE));
  });

  const unable: [string, () => GrpcOutcome][] = [
    ["knows nothing of it", () => ({ messages: [new Uint8Array()] })],
    ["has too many", () => ({ messages: [encodeFound(5, Buffer.alloc(0))] })],
    ["fails", () => ({ status: 14, message: "down" })],
    ["says nonsense", () => ({ messages: [new Uint8Array([0x2a, 0xff, 0x01])] })],
    ["says half an id", () => ({ messages: [Buffer.from([0x2a, 0x02, 1, 2])] })],
  ];
  it.each(unable)("is given at once where the service %s", async (_what, get) => {
    const { cache, service, ask, answer } = await start();
    answer(ask());
    service.get = get;
    for (let i = 0; i < 5; i++) {
      const hit = ask();
      expect(seen(hit)).toMatchObject({ cache: "hit", body: WHOLE, upstream: false });
      expect(flightOf(hit)).toBeUndefined();
    }
    cache.host.advance(1_000);
    expect(cache.counters("requests")).toMatchObject({ "rule=all;outcome=hit": 5 });
  });

  it("is given at once when the service does not answer in time", async () => {
    const { cache, service, ask, answer } = await start();
    answer(ask());
    service.get = () => "hold";
    const hit = ask();
    expect(hit.localReply).toBeUndefined();
    cache.host.advance(60);
    expect(seen(hit)).toMatchObject({ cache: "hit", body: WHOLE });
  });

  it("is given at once when the service goes away behind its word, before the first byte", async () => {
    for (const failed of [
      () => ({ headers: { ":status": "503", "content-type": "application/json", e: "1" }, body: '{"error": {}}' }),
      () => ({ headers: { ":status": "503", e: "1" }, body: "" }),
    ]) {
      const { cache, service, ask, answer } = await start();
      answer(ask());
      service.get = () => replays();
      const hit = ask();
      const { headers, body } = failed();
      hit.responseHeaders(headers, { endOfStream: body === "" });
      if (body !== "") hit.responseBody(body, { endOfStream: true });
      expect(seen(hit)).toMatchObject({ status: "200", cache: "hit", body: WHOLE });
      expect(hit.downstream.headers?.get("content-type")).toBe("text/event-stream");
      hit.end();
      cache.host.advance(1_000);
      expect(cache.counters("requests")).toEqual({ "rule=all;outcome=miss": 1, "rule=all;outcome=hit": 1 });
      expect(cache.trapped).toBe(false);
    }
  });

  it("whose client leaves while the service is asked is gone", async () => {
    const { cache, service, ask, answer } = await start();
    answer(ask());
    let asked: GrpcCall | undefined;
    service.get = (call) => {
      asked = call;
      return "hold";
    };
    const hit = ask();
    hit.end();
    asked?.respond(replays());
    cache.host.turn();
    expect([flightOf(hit), cache.trapped]).toEqual([undefined, false]);
    service.get = () => replays();
    expect(flightOf(ask())).toBe(ID);
  });

  it("that the memory lost meanwhile is a miss, and no error", async () => {
    const { cache, service, ask, answer } = await start(true, { ttlMs: 1_000 });
    answer(ask());
    cache.host.advance(990);
    service.get = () => "hold";
    const late = ask();
    cache.host.advance(60);
    // The answer has ended while the service was asked.
    cache.host.advance(60);
    expect([late.localReply, late.paused.request, flightOf(late)]).toEqual([undefined, false, undefined]);
    expect(seen(answer(late)).cache).toBe("miss");
  });

  it("of another Envoy comes as it came, too, and is kept here", async () => {
    const first = await start();
    first.answer(first.ask());
    const value = first.puts[0]?.value ?? Buffer.alloc(0);
    const { cache, service, ask, gets } = await start();
    service.get = () => replays(value);
    const shared = ask();
    expect([flightOf(shared), gets[0]?.replay?.of]).toEqual([ID, 0]);
    shared.responseHeaders({ ...SSE, "x-llm-cache": "hit" }, {});
    shared.responseBody(WHOLE, { endOfStream: true });
    shared.end();
    service.get = () => ({ status: 14, message: "down" });
    expect(seen(ask())).toMatchObject({ cache: "hit", body: WHOLE });
    cache.host.advance(1_000);
    expect(cache.counters("requests")).toEqual({ "rule=all;outcome=shared": 1, "rule=all;outcome=hit": 1 });
  });

  it("of a client's own header goes nowhere", async () => {
    const { ask, answer } = await start();
    const miss = ask("q", { stream: true }, [["x-llm-flight", ID]]);
    expect(flightOf(miss)).toBeUndefined();
    answer(miss);
  });
});

it("a stored stream takes a hostcall more for each piece, and a hit some more for its way to the service", async () => {
  const count = async (paced: boolean) => {
    const { service, ask, answer } = await start(paced);
    const miss = answer(ask());
    service.get = () => replays();
    const hit = ask();
    if (paced) hit.responseHeaders({ ...SSE, "x-llm-cache": "hit" }, {}).responseBody(WHOLE, { endOfStream: true });
    return [miss.hostcalls, hit.hostcalls];
  };
  const [[plainMiss = 0, plainHit = 0], [pacedMiss = 0, pacedHit = 0]] = [await count(false), await count(true)];
  expect(pacedMiss - plainMiss).toBeLessThanOrEqual(PIECES.length);
  expect(pacedHit - plainHit).toBeLessThanOrEqual(8);
});

describe("any stream", () => {
  it("has a pace that adds up to its bytes and never says that a piece came later than it did", async () => {
    const { cache, puts, ask, answer } = await start();
    let count = 0;
    fc.assert(
      fc.property(fc.array(fc.nat(300), { minLength: 1, maxLength: 60 }), (gaps) => {
        const pieces = events("y".repeat(gaps.length));
        const before = puts.length;
        answer(ask(`any ${count++}`), pieces, gaps);
        expect(puts.length).toBe(before + 1);
        const made = schedule(puts.at(-1)?.pace ?? Buffer.alloc(0), Buffer.byteLength(pieces.join("")), FULL) ?? [];
        let [at, end] = [0, 0];
        for (const [index, piece] of pieces.entries()) {
          at += index === 0 ? 0 : (gaps[index] ?? 0);
          end += Buffer.byteLength(piece);
          const due = made.find((one) => one.end >= end)?.at ?? Number.NaN;
          expect(at - due).toBeGreaterThanOrEqual(0);
          expect(at - due).toBeLessThan(5);
        }
      }),
      { numRuns: 50 },
    );
    expect(cache.trapped).toBe(false);
  });
});
