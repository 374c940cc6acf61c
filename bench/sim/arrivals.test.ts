import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawLength, startTraffic } from "./arrivals.ts";
import { EventQueue } from "./event-queue.ts";
import { Random, Zipf } from "./random.ts";
import { chainOf, type Request } from "./request.ts";
import type { ChatTraffic, OpenTraffic, Traffic } from "./traffic.ts";

/** Requests of `seconds`; each is answered after `answerMs`. */
function requestsOf(traffic: readonly Traffic[], seconds: number, seed = 1, answerMs = 100): Request[] {
  const queue = new EventQueue();
  const requests: Request[] = [];
  startTraffic(traffic, {
    queue,
    seed,
    workers: 4,
    send: (request, onDone) => {
      requests.push(request);
      if (onDone !== undefined) queue.after(answerMs, onDone);
    },
  });
  queue.runUntil(seconds * 1_000);
  return requests;
}

const open: OpenTraffic = {
  kind: "open",
  rate: 50,
  apps: 3,
  exponent: 0,
  system: 640,
  users: 2,
  prompts: "fixed",
  input: 128,
  output: 64,
};

const chat: ChatTraffic = {
  kind: "chat",
  sessions: 5,
  apps: 2,
  exponent: 0,
  system: 128,
  turns: { from: 3, to: 3 },
  input: 100,
  output: 50,
  thinkMs: 500,
  rampMs: 100,
};

describe("open traffic", () => {
  it("comes at its rate, spread over all workers", () => {
    const requests = requestsOf([open], 100);
    expect(Math.abs(requests.length - 5_000)).toBeLessThan(250);
    for (const worker of [0, 1, 2, 3]) {
      expect(Math.abs(requests.filter((one) => one.worker === worker).length - 1_250)).toBeLessThan(150);
    }
  });

  it("keeps its mean rate with bursts, and is silent between them", () => {
    const requests = requestsOf([{ ...open, bursts: { onMs: 500, offMs: 1_500 } }], 400);
    expect(Math.abs(requests.length - 20_000)).toBeLessThan(3_000);
    const gaps = requests.map(({ arrivedAt }, index) => arrivedAt - (requests[index - 1]?.arrivedAt ?? 0));
    expect(gaps.filter((gap) => gap > 300).length).toBeGreaterThan(100);
  });

  it("sends few different fixed prompts, and every fresh one once; both share the system prompt", () => {
    const tails = (prompts: "fixed" | "fresh"): Set<number | undefined> =>
      new Set(requestsOf([{ ...open, prompts }], 20).map(({ blocks }) => blocks[11]));
    expect(tails("fixed").size).toBe(6);
    const fresh = requestsOf([{ ...open, prompts: "fresh" }], 20);
    expect(tails("fresh").size).toBe(fresh.length);
    expect(new Set(fresh.map(({ blocks }) => blocks[9])).size).toBe(3);
    expect(new Set(fresh.map(({ session }) => session)).size).toBe(6);
    expect(new Set(fresh.map(({ firstMessage }) => firstMessage)).size).toBe(fresh.length);
  });

  it("puts documents in any order, and shares them only behind the same text", () => {
    const documents = { count: 3, exponent: 0, length: 128, perPrompt: 2 };
    const requests = requestsOf([{ ...open, apps: 1, prompts: "fresh", documents }], 20);
    for (const { promptTokens } of requests) expect(promptTokens).toBe(640 + 2 * 128 + 128);
    // System, then one of three, then one of the other two, then what nobody else says.
    const texts = (block: number): number => new Set(requests.map(({ blocks }) => blocks[block])).size;
    expect([9, 10, 11, 12, 13, 14].map(texts)).toEqual([1, 3, 3, 6, 6, requests.length]);
  });

  it("never shares blocks between two kinds of traffic", () => {
    const requests = requestsOf([open, open], 20);
    expect(new Set(requests.map(({ blocks }) => blocks[0])).size).toBe(6);
  });
});

describe("chat traffic", () => {
  it("makes each turn begin with all that was said before, and then starts anew", () => {
    const requests = requestsOf([{ ...chat, sessions: 1 }], 60);
    const [first, second, third, fourth] = requests as [Request, Request, Request, Request];
    expect([first, second, third].map(({ promptTokens }) => promptTokens)).toEqual([228, 378, 528]);
    expect(second.blocks.slice(0, first.blocks.length)).toEqual(first.blocks);
    expect(third.blocks.slice(0, second.blocks.length)).toEqual(second.blocks);
    expect(fourth.promptTokens).toBe(228);
    expect(fourth.session).not.toBe(first.session);
  });

  it("waits for the answer: slower answers, fewer requests", () => {
    const [fast, slow] = [100, 5_000].map((answerMs) => requestsOf([chat], 60, 1, answerMs).length);
    expect(fast).toBeGreaterThan(3 * (slow ?? 0));
  });

  it("says the same whatever the order of answers", () => {
    const spoken = (answerMs: number): Map<number, number[]> => {
      const bySession = new Map<number, number[]>();
      for (const { session, promptTokens } of requestsOf(
        [{ ...chat, input: { from: 50, to: 500 } }],
        60,
        1,
        answerMs,
      )) {
        bySession.set(session, [...(bySession.get(session) ?? []), promptTokens]);
      }
      return bySession;
    };
    const [fast, slow] = [spoken(100), spoken(5_000)];
    // The last conversations are cut by the end.
    const whole = [...slow].filter(([, turns]) => turns.length === 3);
    expect(whole.length).toBeGreaterThan(5);
    for (const [session, turns] of whole) expect(fast.get(session)).toEqual(turns);
  });
});

describe("what is drawn", () => {
  it("has the mean and the bounds that it is said to have", () => {
    const random = new Random(5);
    const mean = (draw: () => number): number => Array.from({ length: 40_000 }, draw).reduce((a, b) => a + b) / 40_000;
    expect(mean(() => random.exponential(7)) / 7).toBeCloseTo(1, 1);
    expect(mean(() => random.geometric(8)) / 8).toBeCloseTo(1, 1);
    expect(mean(() => drawLength({ mean: 500, sigma: 0.8, max: 1e9 }, random)) / 500).toBeCloseTo(1, 1);
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const length = drawLength({ from: 10, to: 1_000 }, new Random(seed));
        expect(length).toBeGreaterThanOrEqual(10);
        expect(length).toBeLessThanOrEqual(1_000);
      }),
    );
  });

  it("follows Zipf's law", () => {
    const [random, zipf] = [new Random(2), new Zipf(300, 1.1)];
    const draws = Array.from({ length: 50_000 }, () => zipf.draw(random));
    expect(draws.filter((rank) => rank === 0).length / 50_000).toBeCloseTo(0.203, 2);
    expect(draws.filter((rank) => rank === 1).length / 50_000).toBeCloseTo(0.203 / 2 ** 1.1, 2);
    expect(Math.max(...draws)).toBeLessThan(300);
  });

  it("cuts texts into blocks that belong to whoever ends them", () => {
    const owners: [number, number][] = [];
    const segments = [
      { owner: 1, end: 100 },
      { owner: 2, end: 250 },
    ];
    chainOf(segments, (owner, block) => owners.push([owner, block]));
    expect(owners).toEqual([
      [1, 0],
      [2, 1],
      [2, 2],
    ]);
  });
});

describe("EventQueue", () => {
  it("runs in order of time, then of addition, as a sorted list does", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (times) => {
        const queue = new EventQueue();
        const seen: [number, number][] = [];
        for (const [index, time] of times.entries()) queue.at(time, () => seen.push([time, index]));
        queue.runUntil(100);
        expect(seen).toEqual(times.map((time, index): [number, number] => [time, index]).sort(([a], [b]) => a - b));
        expect(queue.now).toBe(100);
      }),
    );
  });

  it("repeats until the end, which it leaves out", () => {
    const queue = new EventQueue();
    const seen: number[] = [];
    queue.every(10, 5, () => seen.push(queue.now));
    queue.runUntil(25);
    expect(seen).toEqual([5, 15]);
  });
});
