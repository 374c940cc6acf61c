import { describe, expect, it } from "vitest";
import { decodeLead, encodeOpen, encodeReceived } from "../../xds-server/state/answers/flight-protocol.ts";
import { encodeStored } from "../../xds-server/state/answers/protocol.ts";
import type { GrpcCall } from "../host/callouts.ts";
import type { Stream } from "../host/index.ts";
import { CacheHost, type CacheOptions, events, open, say, seen } from "./cache-driver.ts";

/** Streams that are read along: what goes to the service and when, and when requests are sent there. What the service does with it: real Envoys, xds-server/serve-flights.envoy.test.ts. */

const SSE = { ":status": "200", "content-type": "text/event-stream", a: "1", b: "2", c: "3", d: "4" };
const PIECES = events("live");
const GATEWAY = { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" };

async function start(options: CacheOptions = {}, more: object = {}, rateLimit?: object) {
  const rule = { singleFlight: { live: true }, ...more };
  const config = {
    service: { cluster: "answers" },
    purges: { cluster: "answers" },
    maxEntryBytes: 4096,
    ...open(rule),
  };
  const cache = await CacheHost.start(
    rateLimit === undefined ? config : { promptCache: config, rateLimit },
    rateLimit === undefined ? options : { ...GATEWAY, ...options },
  );
  const leads: GrpcCall[] = [];
  cache.host.callouts.onGrpcCall("answers", (call) => {
    if (call.isStream) leads.push(call);
    if (call.method.endsWith("Get")) return { messages: [new Uint8Array()] };
    return call.method.endsWith("Put") ? { messages: [encodeStored(true)] } : "hold";
  });
  cache.host.advance(1_500);
  const ask = (text = "q", worker = 0) => {
    const stream = cache.ask(say(text, { stream: true, max_tokens: 20 }), [], worker);
    cache.host.advance(0);
    return stream;
  };
  const sent = (call: GrpcCall | undefined) => (call?.sent ?? []).map((message) => decodeLead(message));
  const text = (call: GrpcCall | undefined) =>
    sent(call)
      .map(({ data }) => data.toString())
      .join("");
  const tell = (call: GrpcCall | undefined, message: Uint8Array) => {
    call?.receive(message);
    cache.host.turn();
    cache.host.turn();
  };
  return { cache, leads, ask, sent, text, tell };
}

const piece = (stream: Stream, text: string, endOfStream = false) => stream.responseBody(text, { endOfStream });
const flightOf = (stream: Stream) => stream.upstream.headers?.get("x-llm-flight");

describe("a stream", () => {
  it("goes to the service when somebody waits for it and its first bytes are there, from the beginning", async () => {
    const { cache, leads, ask, sent, text, tell } = await start();
    const leader = ask();
    const follower = ask();
    expect([leader.upstream.ended, follower.paused.request]).toEqual([true, true]);
    leader.responseHeaders(SSE, {});
    expect(leads.length).toBe(0);
    piece(leader, PIECES[0] ?? "");
    expect(leads.map(({ method }) => method)).toEqual(
      ["tokenmesh.answers.v1.Answers/Lead"].map((one) => expect.stringContaining(one)),
    );
    const [head] = sent(leads[0]);
    expect(head).toMatchObject({
      contentType: "text/event-stream",
      key: leader.downstream.headers?.get("x-llm-cache-key"),
    });
    expect(text(leads[0])).toBe(PIECES[0]);
    // Nobody goes there before the service has it.
    expect(follower.paused.request).toBe(true);
    tell(leads[0], encodeOpen());
    expect([follower.paused.request, flightOf(follower)]).toEqual([false, head?.flight]);
    const late = ask();
    expect([late.paused.request, flightOf(late)]).toEqual([false, head?.flight]);
    // Its answer is passed on as it is, and kept by nobody.
    late.responseHeaders({ ...SSE, "x-llm-cache": "coalesced" }, {});
    piece(late, "data: what the service says\n\n", true);
    expect(seen(late)).toMatchObject({ cache: "coalesced", body: "data: what the service says\n\n" });
    piece(leader, PIECES.slice(1).join(""), true);
    expect([text(leads[0]), sent(leads[0]).at(-1)?.end, leads[0]?.localClosed]).toEqual([PIECES.join(""), true, true]);
    expect(sent(leads[0]).filter(({ end }) => end).length).toBe(1);
    expect(seen(ask())).toMatchObject({ cache: "hit", body: PIECES.join("") });
    expect(cache.counters("requests")).toEqual({
      "rule=all;outcome=miss": 1,
      "rule=all;outcome=coalesced": 2,
      "rule=all;outcome=hit": 1,
    });
    expect([leads.length, cache.trapped]).toEqual([1, false]);
  });

  it("goes nowhere when nobody waits, and begins in its middle when somebody comes", async () => {
    const { leads, ask, text, tell } = await start();
    const leader = ask();
    leader.responseHeaders(SSE, {});
    for (const one of PIECES.slice(0, 3)) piece(leader, one);
    expect(leads.length).toBe(0);
    const follower = ask();
    expect([text(leads[0]), follower.paused.request]).toEqual([PIECES.slice(0, 3).join(""), true]);
    piece(leader, PIECES[3] ?? "");
    tell(leads[0], encodeOpen());
    expect([text(leads[0]), follower.paused.request]).toEqual([PIECES.slice(0, 4).join(""), false]);
  });

  it("is read along from other workers", async () => {
    const { cache, leads, ask, sent, tell } = await start({ workers: 2 });
    const leader = ask("q", 0);
    leader.responseHeaders(SSE, {});
    piece(leader, PIECES[0] ?? "");
    const follower = ask("q", 1);
    for (let i = 0; i < 4; i++) cache.host.turn();
    expect([leads.length, follower.paused.request]).toEqual([1, true]);
    tell(leads[0], encodeOpen());
    for (let i = 0; i < 4; i++) cache.host.turn();
    expect([follower.paused.request, flightOf(follower)]).toEqual([false, sent(leads[0])[0]?.flight]);
  });

  it("is never ended as if it were whole when its client hangs up", async () => {
    const { leads, ask, sent, tell } = await start();
    const [leader] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    piece(leader, PIECES[0] ?? "");
    tell(leads[0], encodeOpen());
    leader.end();
    expect([leads[0]?.done, sent(leads[0]).some(({ end }) => end)]).toEqual([true, false]);
    // Who comes now makes a call of its own.
    const next = ask();
    expect([next.upstream.ended, flightOf(next)]).toEqual([true, undefined]);
  });

  it("that is not where it was said to be is given from memory if it is there by then, and else the failure is", async () => {
    const { cache, leads, ask, tell } = await start();
    const [leader, first] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    piece(leader, PIECES[0] ?? "");
    tell(leads[0], encodeOpen());
    const second = ask();
    expect([first, second].map((stream) => flightOf(stream) === undefined)).toEqual([false, false]);
    const gone = { ":status": "503", "content-type": "application/json", e: "1" };
    first.responseHeaders(gone, {});
    piece(first, '{"error": {"code": "flight_gone"}}', true);
    expect(seen(first)).toMatchObject({ status: "503", body: '{"error": {"code": "flight_gone"}}' });
    piece(leader, PIECES.slice(1).join(""), true);
    second.responseHeaders(gone, {});
    piece(second, '{"error": {"code": "flight_gone"}}', true);
    expect(seen(second)).toMatchObject({ status: "200", cache: "coalesced", body: PIECES.join("") });
    expect([second.downstream.headers?.get("content-type"), cache.trapped]).toEqual(["text/event-stream", false]);
  });

  it("that is too long to be kept is read along to its end", async () => {
    const { leads, ask, sent, text, tell } = await start();
    const [leader, follower] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    piece(leader, PIECES[0] ?? "");
    tell(leads[0], encodeOpen());
    expect(follower.paused.request).toBe(false);
    const long = PIECES.slice(1, 2).join("").repeat(40);
    piece(leader, long);
    piece(leader, PIECES.slice(1).join(""), true);
    expect(text(leads[0])).toBe(PIECES[0] + long + PIECES.slice(1).join(""));
    expect(sent(leads[0]).at(-1)?.end).toBe(true);
  });

  it("that the service does not take is left to its own client, and who comes then waits for nothing of it", async () => {
    const { cache, leads, ask, tell } = await start();
    const [leader] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    piece(leader, PIECES[0] ?? "");
    tell(leads[0], encodeOpen());
    const mebi = 1 << 20;
    tell(leads[0], encodeReceived(Buffer.byteLength(PIECES[0] ?? "")));
    piece(leader, `: ${"x".repeat(mebi / 2)}\n\n`);
    expect(leads[0]?.done).toBe(false);
    tell(leads[0], encodeReceived(Buffer.byteLength(PIECES[0] ?? "") + mebi / 2));
    piece(leader, `: ${"x".repeat(mebi / 2)}\n\n`);
    expect(leads[0]?.done).toBe(false);
    piece(leader, `: ${"x".repeat(mebi)}\n\n`);
    expect(leads[0]?.done).toBe(true);
    piece(leader, PIECES.slice(1).join(""), true);
    expect([leader.downstream.ended, cache.trapped, leads.length]).toEqual([true, false, 1]);
  });

  it.each([
    ["refuses", (call: GrpcCall | undefined) => call?.close(8)],
    ["says nonsense", (call: GrpcCall | undefined) => call?.receive(new Uint8Array([0x08]))],
  ])("is waited for to its end when the service %s", async (_, fails) => {
    const { cache, leads, ask, tell } = await start();
    const [leader, follower] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    piece(leader, PIECES[0] ?? "");
    fails(leads[0]);
    tell(leads[0], encodeOpen());
    expect(follower.paused.request).toBe(true);
    const late = ask();
    piece(leader, PIECES.slice(1).join(""), true);
    cache.host.turn();
    for (const one of [follower, late]) expect(seen(one)).toMatchObject({ cache: "coalesced", body: PIECES.join("") });
    expect(leads.length).toBe(1);
  });

  it("that the service has lost is waited for again by who comes then", async () => {
    const { cache, leads, ask, tell } = await start();
    const [leader, follower] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    piece(leader, PIECES[0] ?? "");
    tell(leads[0], encodeOpen());
    expect(follower.paused.request).toBe(false);
    leads[0]?.close(14);
    const late = ask();
    expect([late.paused.request, flightOf(late)]).toEqual([true, undefined]);
    piece(leader, PIECES.slice(1).join(""), true);
    cache.host.turn();
    expect([seen(late).cache, leads.length]).toEqual(["coalesced", 1]);
  });

  it("of a rule that does not say so costs the service nothing", async () => {
    const { cache, leads, ask } = await start({}, { singleFlight: { live: false } });
    const [leader, follower] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    for (const one of PIECES) piece(leader, one, one === PIECES.at(-1));
    cache.host.turn();
    expect([seen(follower).cache, leads.length]).toEqual(["coalesced", 0]);
  });

  it("that a limiter ends for its client ends the same for who reads it along, wherever pieces are cut", async () => {
    const stop = { name: "l", key: [], limits: [{ unit: "tokens", amount: 60, per: "minute" }], overrun: "stop" };
    const long = events("0123456789".repeat(14)).join("");
    for (const [size, joinsAt] of [
      [165, 0],
      [3, 200],
      [7, 100],
      [100, 3],
      [1_000, 0],
      [2_001, 1],
    ] as const) {
      const { cache, leads, ask, sent, text, tell } = await start({}, {}, { rules: [stop] });
      const leader = ask();
      leader.responseHeaders(SSE, {});
      let follower: Stream | undefined;
      for (let at = 0, n = 0; at < long.length - size; at += size, n++) {
        if (n === joinsAt) follower = ask();
        if (leads[0] !== undefined && follower?.paused.request) tell(leads[0], encodeOpen());
        piece(leader, long.slice(at, at + size));
      }
      const { body } = seen(leader);
      expect(body).toMatch(/"finish_reason":"length"\}\]\}\n\ndata: \[DONE\]\n\n$/);
      expect(body.length).toBeLessThan(long.length);
      expect([size, joinsAt, text(leads[0])]).toEqual([size, joinsAt, body]);
      expect([sent(leads[0]).at(-1)?.end, leads[0]?.localClosed]).toEqual([true, true]);
      expect(flightOf(follower as Stream)).toBe(sent(leads[0])[0]?.flight);
      // The upstream goes on, or is done: it is all the same.
      piece(leader, long.slice(-size), true);
      cache.host.advance(120_000);
      const next = ask();
      expect([next.upstream.ended, flightOf(next), leads.length, cache.trapped]).toEqual([true, undefined, 1, false]);
    }
  });

  it("that a limiter only watches is read along whole, half events too", async () => {
    const wide = { name: "l", key: [], limits: [{ unit: "tokens", amount: 1e6, per: "minute" }], overrun: "stop" };
    const { leads, ask, sent, text, tell } = await start({}, {}, { rules: [wide] });
    const [leader] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    const all = `${PIECES.join("")}: behind the end`;
    // Before the first event is whole there is nothing to be read.
    piece(leader, all.slice(0, 100));
    expect(leads.length).toBe(0);
    piece(leader, all.slice(100, 200));
    tell(leads[0], encodeOpen());
    expect(text(leads[0])).toBe(PIECES[0]);
    piece(leader, all.slice(200, 300));
    expect(text(leads[0])).toBe(PIECES[0]);
    piece(leader, all.slice(300), true);
    expect([text(leads[0]), sent(leads[0]).at(-1)?.end]).toEqual([all, true]);
  });

  it("whose event is larger than what a limiter waits for is read along piece by piece", async () => {
    const wide = { name: "l", key: [], limits: [{ unit: "tokens", amount: 1e6, per: "minute" }], overrun: "stop" };
    const { leads, ask, text, tell } = await start({}, {}, { rules: [wide] });
    const [leader] = [ask(), ask()];
    leader.responseHeaders(SSE, {});
    piece(leader, PIECES[0] ?? "");
    tell(leads[0], encodeOpen());
    piece(leader, `: ${"x".repeat(60_000)}`);
    expect(text(leads[0])).toBe(PIECES[0]);
    piece(leader, "x".repeat(10_000));
    expect(text(leads[0]).length).toBe((PIECES[0] ?? "").length + 70_002);
    piece(leader, "x\n\n");
    piece(leader, PIECES.slice(1).join(""), true);
    expect(text(leads[0]).length).toBe(PIECES.join("").length + 70_005);
  });
});
