import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { LimitHost, outcome, told } from "./rate-limit-driver.ts";
import { call, limit, rule } from "./rate-limit-requests.ts";
import { CountingService, LedgerService, ServiceDriver } from "./rate-limit-service.ts";
import { takenElsewhere } from "./rate-limit-service-host.ts";

/** What becomes of requests that wait for room, and of streams that use more than they reserved. */

const team: [string, string][] = [["x-team", "a"]];
const streamed = (max: number, more: object = {}) => call(max, { stream: true, ...more });

/** An event of 200 bytes: one token, as long as nothing else was learned. */
function token(index: number): string {
  const event = (content: string) =>
    `data: ${JSON.stringify({ id: "c1", object: "chat.completion.chunk", created: 7, model: "m", choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;
  return event(`${index} `.padEnd(200 - event("").length, "."));
}

function begin(stream: Stream): Stream {
  return stream.responseHeaders({
    ":status": "200",
    "content-type": "text/event-stream",
    a: "1",
    b: "2",
    c: "3",
    d: "4",
  });
}

const text = (stream: Stream) => Buffer.from(stream.downstream.body).toString();
/** Tokens that the client has got. */
const received = (stream: Stream) =>
  text(stream)
    .split("\n\n")
    .filter((event) => event.includes('"content":')).length;
const end = (stream: Stream, output: number) =>
  stream.responseBody(
    `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 10, completion_tokens: output } })}\n\ndata: [DONE]\n\n`,
    { endOfStream: true },
  );

describe("stop", () => {
  it("ends a stream that has used up its budget as its API ends one at its token limit", async () => {
    const gateway = await LimitHost.start({ rules: [rule([limit(110)], { overrun: "stop" })] });
    const stream = begin(gateway.ask(streamed(20), team));
    for (let i = 0; i < 300; i++) stream.responseBody(token(i));
    expect(received(stream)).toBe(101);
    const events = text(stream).trimEnd().split("\n\n");
    expect(events.at(-1)).toBe("data: [DONE]");
    expect(JSON.parse(events.at(-2)?.slice(6) ?? "")).toMatchObject({
      ...{ id: "c1", created: 7, model: "m" },
      choices: [{ index: 0, finish_reason: "length" }],
    });
    end(stream, 300);
    expect(text(stream).trimEnd().split("\n\n")).toEqual(events);
    expect(gateway.counters("requests")).toEqual({ "rule=team;outcome=admitted": 1, "rule=team;outcome=stopped": 1 });
    expect(gateway.trapped).toBe(false);
  });

  it("lets a stream take what is left, in steps that others see", async () => {
    const gateway = await LimitHost.start({ rules: [rule([limit(1_000)], { overrun: "stop" })] });
    const stream = begin(gateway.ask(streamed(20), team));
    for (let i = 0; i < 21; i++) stream.responseBody(token(i));
    const other = gateway.answer(gateway.ask(call(90), team), { input: 10, output: 90 });
    expect(told(other)["remaining-tokens"]).toBe(String(1_000 - 10 - 21 - 64 - 100));
    for (let i = 21; i < 500; i++) stream.responseBody(token(i));
    end(stream, 500);
    expect(received(stream)).toBe(500);
    expect(told(gateway.answer(gateway.ask(call(90), team), { input: 0, output: 0 }))["remaining-tokens"]).toBe("290");
  });

  it("cuts a large piece behind its last whole event", async () => {
    const gateway = await LimitHost.start({ rules: [rule([limit(110)], { overrun: "stop" })] });
    const stream = begin(gateway.ask(streamed(20), team));
    const piece = Array.from({ length: 400 }, (_, i) => token(i)).join("");
    stream.responseBody(piece.slice(0, piece.length - 50));
    const events = text(stream).trimEnd().split("\n\n");
    for (const event of events.slice(0, -1)) JSON.parse(event.slice(6));
    expect(events.at(-1)).toBe("data: [DONE]");
    expect(received(stream)).toBe(399);
  });

  it("tells the client's own usage what was counted", async () => {
    const gateway = await LimitHost.start({ rules: [rule([limit(60)], { overrun: "stop" })] });
    const stream = begin(gateway.ask(streamed(20, { stream_options: { include_usage: true } }), team));
    for (let i = 0; i < 60; i++) stream.responseBody(token(i));
    const usage = text(stream)
      .split("\n\n")
      .find((event) => event.includes('"usage":{'));
    expect(JSON.parse(usage?.slice(6) ?? "").usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 51 });
  });

  it("leaves whole answers and streams of other rules alone", async () => {
    const rules = [
      rule([limit(60)], { overrun: "stop", match: { models: ["m"] } }),
      rule([limit(60)], { name: "all" }),
    ];
    const gateway = await LimitHost.start({ rules });
    const whole = gateway.answer(gateway.ask(call(20), team), { input: 10, output: 500 });
    expect(text(whole)).toContain('"completion_tokens":500');
    gateway.host.advance(60_000);
    const other = begin(gateway.ask({ ...streamed(20), model: "other" }, team));
    for (let i = 0; i < 100; i++) other.responseBody(token(i));
    expect(received(other)).toBe(100);
  });

  it.each([
    ["strict", new LedgerService()],
    ["leased", new LedgerService()],
    ["strict", new CountingService()],
  ] as const)(
    "asks the service for more while the answer waits, and ends it when there is no more: %s",
    async (mode, kept) => {
      const protocol = kept instanceof CountingService ? "envoy" : "ledger";
      const gateway = await LimitHost.start({
        service: { cluster: "ledger", protocol },
        rules: [rule([limit(300)], { mode, overrun: "stop" })],
      });
      const driver = new ServiceDriver(gateway.host, kept);
      const stream = gateway.ask(streamed(20), team);
      await driver.settle();
      begin(stream);
      let held = 0;
      for (let i = 0; i < 400; i++) {
        stream.responseBody(token(i));
        if (received(stream) <= i) held++;
        await driver.settle();
      }
      expect(received(stream)).toBeLessThanOrEqual(292);
      expect(received(stream)).toBeGreaterThan(200);
      expect(held).toBeGreaterThan(1);
      expect(held).toBeLessThan(150);
      expect(text(stream)).toMatch(/"finish_reason":"length".*\n\ndata: \[DONE\]\n\n$/);
      end(stream, 400);
      await driver.settle();
      expect(driver.waiting).toBe(0);
      expect(gateway.trapped).toBe(false);
    },
  );
});

describe("stop, with leases", () => {
  it("asks for no other lease while a stream grows, when the service has less left than one", async () => {
    const gateway = await LimitHost.start({
      service: { cluster: "ledger" },
      rules: [rule([limit(1_000)], { mode: "leased", leasePercent: 40, overrun: "stop" })],
    });
    const kept = new LedgerService();
    await takenElsewhere(kept, 250);
    const driver = new ServiceDriver(gateway.host, kept);
    const stream = gateway.ask(streamed(290), team);
    await driver.settle();
    begin(stream);
    // 400 for a lease, which leaves 350, and 300 for the request.
    expect(driver.requests).toHaveLength(2);
    for (let i = 0; i < 600; i++) stream.responseBody(token(i));
    expect(received(stream)).toBe(600);
    expect(driver.requests).toHaveLength(2);
    gateway.host.advance(5_000);
    for (let i = 600; i < 660; i++) stream.responseBody(token(i));
    await driver.settle();
    expect(driver.requests).toHaveLength(3);
  });
});

describe("pace", () => {
  const paced = (amount = 10) => [rule([limit(amount, "completionTokens", "second")], { overrun: "pace" })];

  it("lets tokens pass at the rate of the limit while they come faster, and the rest when there is room for it", async () => {
    const gateway = await LimitHost.start({ rules: paced() });
    const stream = begin(gateway.ask(streamed(500), team));
    for (let i = 0; i < 80; i++) {
      stream.responseBody(token(i));
      gateway.host.advance(50);
      // A window begins anew with each second.
      const windows = Math.floor(((i + 1) * 50) / 1_000) + 1;
      expect(received(stream)).toBeLessThanOrEqual(10 * windows + 1);
      expect(received(stream)).toBeGreaterThanOrEqual(Math.min(i, 10 * (windows - 1)) - 1);
    }
    end(stream, 80);
    expect(received(stream)).toBeLessThanOrEqual(50);
    gateway.host.advance(2_900);
    expect(stream.downstream.ended).toBe(false);
    gateway.host.advance(1_200);
    expect(received(stream)).toBe(80);
    expect(text(stream)).toMatch(/data: \[DONE\]\n\n$/);
    expect(stream.downstream.ended).toBe(true);
    expect(gateway.counters("requests")).toEqual({ "rule=team;outcome=admitted": 1, "rule=team;outcome=paced": 1 });
    expect(gateway.trapped).toBe(false);
  });

  it("holds back what comes behind more than it can keep", async () => {
    const gateway = await LimitHost.start({ rules: paced(100) });
    const stream = begin(gateway.ask(streamed(5_000), team));
    for (let i = 0; i < 500; i++) stream.responseBody(token(i));
    const soon = received(stream);
    expect(soon).toBeLessThanOrEqual(100);
    gateway.host.advance(2_500);
    expect(received(stream)).toBe(soon);
    gateway.host.advance(2_600);
    expect(received(stream)).toBe(500);
    expect(gateway.trapped).toBe(false);
  });

  it("shares the rate between the streams of a key", async () => {
    const gateway = await LimitHost.start({ rules: paced() });
    const streams = [1, 2, 3].map(() => begin(gateway.ask(streamed(500), team)));
    for (let i = 0; i < 30; i++) {
      for (const stream of streams) stream.responseBody(token(i));
      gateway.host.advance(100);
    }
    const total = streams.reduce((sum, stream) => sum + received(stream), 0);
    expect(total).toBeLessThanOrEqual(4 * 10 + 3);
    expect(Math.min(...streams.map(received))).toBeGreaterThan(0);
  });

  it("gives none of the streams that have fallen behind all of what is free again, whoever comes first", async () => {
    const gateway = await LimitHost.start({ rules: paced() });
    const streams = [1, 2, 3].map(() => begin(gateway.ask(streamed(500), team)));
    // All pieces of a second come at its begin, those of the first stream before the others'.
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 3; i++) for (const stream of streams) stream.responseBody(token(3 * second + i));
      gateway.host.advance(1_000);
    }
    const shares = streams.map(received);
    const total = shares.reduce((sum, share) => sum + share);
    // Nine come and ten are free: nobody waits for long.
    expect(total).toBeGreaterThan(170);
    for (let second = 20; second < 40; second++) {
      for (let i = 0; i < 6; i++) for (const stream of streams) stream.responseBody(token(6 * second + i));
      gateway.host.advance(1_000);
    }
    const later = streams.map((stream, index) => received(stream) - (shares[index] ?? 0));
    // Eighteen come: 4, 4 and 2.
    expect(later.reduce((sum, share) => sum + share)).toBeGreaterThan(190);
    expect(Math.min(...later)).toBeGreaterThanOrEqual(Math.max(...later) / 2 - 4);
  });

  it("lets all streams of a key end that are held, no sooner than there is room for all of them", async () => {
    const gateway = await LimitHost.start({ rules: paced() });
    const streams = [1, 2, 3].map(() => begin(gateway.ask(streamed(500), team)));
    for (let i = 0; i < 30; i++) for (const stream of streams) stream.responseBody(token(i));
    for (const stream of streams) end(stream, 30);
    const ended = () => streams.filter((stream) => stream.downstream.ended).length;
    for (let second = 1; second <= 10; second++) {
      const room = 10 * second;
      expect(ended()).toBeLessThanOrEqual(Math.floor(room / 30));
      gateway.host.advance(1_000);
    }
    expect(streams.map(received)).toEqual([30, 30, 30]);
    expect(ended()).toBe(3);
    for (const stream of streams) expect(text(stream)).toMatch(/data: \[DONE\]\n\n$/);
  });

  it("forgets a client that goes away while its answer is held", async () => {
    const gateway = await LimitHost.start({ rules: paced() });
    const stream = begin(gateway.ask(streamed(500), team));
    for (let i = 0; i < 40; i++) stream.responseBody(token(i));
    stream.end();
    gateway.host.advance(5_000);
    expect(gateway.trapped).toBe(false);
    expect(outcome(gateway.ask(streamed(500), team))).toBe("ok");
  });
});

describe("a held answer", () => {
  it("is not taken for that of a client that went away", async () => {
    const gateway = await LimitHost.start({
      service: { cluster: "ledger" },
      rules: [
        { ...rule([limit(10, "completionTokens", "second")], { overrun: "pace" }), match: { models: ["m"] } },
        { ...rule([limit(300)], { name: "strict", mode: "strict", overrun: "stop" }), match: { models: ["other"] } },
      ],
    });
    const driver = new ServiceDriver(gateway.host, new LedgerService());
    const gone = begin(gateway.ask(streamed(500), team));
    for (let i = 0; i < 40; i++) gone.responseBody(token(i));
    end(gone, 40);
    gone.end();
    // It has the place in memory that is free now, and waits for the service.
    const stream = gateway.ask({ ...streamed(20), model: "other" }, team);
    await driver.settle();
    begin(stream);
    let sent = 0;
    while (driver.waiting === 0 && sent < 40) stream.responseBody(token(sent++));
    expect([received(stream), driver.waiting]).toEqual([sent - 1, 1]);
    gateway.host.advance(40);
    expect([received(stream), driver.waiting]).toEqual([sent - 1, 1]);
    await driver.settle();
    expect(received(stream)).toBe(sent);
  });
});

describe("queue", () => {
  const queued = (queueMs: number) => [rule([limit(100)], { queueMs })];

  it("lets a request wait until there is room", async () => {
    const gateway = await LimitHost.start({ rules: queued(5_000) });
    const first = gateway.ask(call(90), team);
    const second = gateway.ask(call(50), team);
    expect(outcome(second)).toBe("held");
    gateway.host.advance(1_000);
    expect(outcome(second)).toBe("held");
    gateway.answer(first, { input: 10, output: 20 });
    gateway.host.advance(50);
    expect(outcome(second)).toBe("ok");
    expect(Buffer.from(second.upstream.body).toString()).toContain('"max_tokens":50');
    expect(gateway.counters("requests")).toEqual({ "rule=team;outcome=admitted": 2, "rule=team;outcome=queued": 1 });
  });

  it("refuses it when its time is over", async () => {
    const gateway = await LimitHost.start({ rules: queued(2_000) });
    gateway.ask(call(90), team);
    gateway.host.advance(10_000);
    const second = gateway.ask(call(50), team);
    gateway.host.advance(1_900);
    expect(outcome(second)).toBe("held");
    gateway.host.advance(200);
    expect(outcome(second)).toBe("429 rate_limit_exceeded");
    expect(Number(told(second)["retry-after"])).toBe(48);
  });

  it("goes on at the window's end, in the order in which requests came", async () => {
    const gateway = await LimitHost.start({ rules: queued(60_000) });
    gateway.ask(call(90), team);
    const waiting = [1, 2, 3].map(() => gateway.ask(call(30), team));
    gateway.host.advance(60_020);
    gateway.host.advance(80);
    expect(waiting.map(outcome)).toEqual(["ok", "ok", "429 rate_limit_exceeded"]);
  });

  it("forgets a client that goes away", async () => {
    const gateway = await LimitHost.start({ rules: queued(60_000) });
    const first = gateway.ask(call(90), team);
    gateway.ask(call(50), team).end();
    gateway.answer(first, { input: 1, output: 1 });
    gateway.host.advance(100);
    expect(outcome(gateway.ask(call(80), team))).toBe("ok");
    expect(gateway.trapped).toBe(false);
  });

  it("does not take another request for the one that went away", async () => {
    const gateway = await LimitHost.start({
      service: { cluster: "ledger" },
      rules: [
        { ...rule([limit(100)], { queueMs: 60_000 }), match: { models: ["m"] } },
        { ...rule([limit(100)], { name: "strict", mode: "strict" }), match: { models: ["other"] } },
      ],
    });
    const driver = new ServiceDriver(gateway.host, new LedgerService());
    gateway.ask(call(90), team);
    const gone = gateway.ask(call(50), team);
    expect(outcome(gone)).toBe("held");
    gone.end();
    // It has the place in memory that is free now.
    const next = gateway.ask({ ...call(50), model: "other" }, team);
    gateway.host.advance(40);
    expect(driver.waiting).toBe(1);
    expect(outcome(next)).toBe("held");
    await driver.settle();
    expect(outcome(next)).toBe("ok");
  });

  it("lets the one go on first that waits longest, whenever the others came", async () => {
    const gateway = await LimitHost.start({ rules: queued(60_000) });
    const first = gateway.ask(call(90), team);
    const waiting = [1, 2, 3].map((ticks) => {
      const stream = gateway.ask(call(80), team);
      gateway.host.advance(20 * ticks);
      return stream;
    });
    gateway.answer(first, { input: 1, output: 1 });
    gateway.host.advance(50);
    expect(waiting.map(outcome)).toEqual(["ok", "held", "held"]);
  });

  it("asks the others in their order when one of them goes away", async () => {
    const gateway = await LimitHost.start({ rules: queued(60_000) });
    const first = gateway.ask(call(90), team);
    const waiting = [1, 2, 3, 4].map(() => gateway.ask(call(80), team));
    gateway.host.advance(100);
    waiting[0]?.end();
    waiting[2]?.end();
    gateway.answer(first, { input: 1, output: 1 });
    gateway.host.advance(50);
    expect(waiting.map(outcome)).toEqual(["held", "ok", "held", "held"]);
  });

  it("holds 1,024 requests, and refuses more at once", async () => {
    const gateway = await LimitHost.start({ rules: queued(60_000) });
    gateway.ask(call(90), team);
    const waiting = Array.from({ length: 1_025 }, () => gateway.ask(call(50), team));
    expect(waiting.slice(0, 1_024).every((stream) => outcome(stream) === "held")).toBe(true);
    expect(waiting.slice(1_024).map(outcome)).toEqual(["429 rate_limit_exceeded"]);
    // Those that have gone make room.
    waiting[500]?.end();
    expect(outcome(gateway.ask(call(50), team))).toBe("held");
  });
});
