import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../host/index.ts";
import { CacheHost, document, open, say } from "./cache-driver.ts";
import { type Ending, endings, type Question, type Times } from "./cache-given.ts";
import { CacheModel } from "./cache-model.ts";
import type { Forgotten, ServiceMood } from "./cache-service.ts";

/** Whatever happens in whatever order: nobody gets an answer that is not his, not whole or not alive, and nobody waits for ever. */

const WORKERS = 4;

const question: fc.Arbitrary<Question> = fc.record({
  tenant: fc.constantFrom("a", "b"),
  model: fc.constantFrom("m", "n"),
  text: fc.constantFrom("1", "2", "3", "4"),
  stream: fc.boolean(),
});
const ttls = [1_000, 1_000, 3_000, 20_000];
const times: fc.Arbitrary<Times> = fc.record({
  scope: fc.constantFrom("r", "r", "s"),
  ttl: fc.constantFrom(...ttls),
  revalidate: fc.constantFrom(0, 2_000, 60_000),
  ifError: fc.constantFrom(0, 2_000, 60_000, 60_000),
  wait: fc.constantFrom(500, 4_000),
});

type Kind = "ask" | "end" | "pass" | "more" | "leave" | "purge" | "mood" | "spoil" | "configure" | "trap" | "outlive";
/** Data, so that a counterexample can be read. */
type Act = { [K in Kind]: readonly [kind: K, ...Parameters<CacheModel[K]>] }[Kind];

function perform(model: CacheModel, [kind, ...values]: Act): void {
  (model[kind] as (...values: unknown[]) => void).call(model, ...values);
}

const act = <K extends Kind>(weight: number, kind: K, values: fc.Arbitrary<Parameters<CacheModel[K]>>) => ({
  weight,
  arbitrary: values.map((list) => [kind, ...list] as unknown as Act),
});
const one = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<[T]> => fc.tuple(arbitrary);
const worker = fc.nat(WORKERS - 1);
const which = fc.nat(20);
/** Most of the time the same is asked. */
const hot = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Question>({ tenant: "a", model: "m", text: "1", stream: false }) },
  { weight: 2, arbitrary: question },
);
const ending = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Ending>("whole") },
  { weight: 1, arbitrary: fc.constant<Ending>("failed") },
  { weight: 2, arbitrary: fc.constantFrom(...endings) },
);
const between = fc.option(fc.record({ at: fc.nat(8), question: hot, worker }), { nil: undefined });
const fresh = fc.nat(9).map((digit) => digit === 0);
const purged = fc.constantFrom<Forgotten>("all", { model: "m" }, { tenant: "a" });

const acts = fc.oneof(
  act(12, "ask", fc.tuple(hot, fresh, worker, between)),
  act(8, "end", fc.tuple(which, ending)),
  act(4, "pass", one(fc.constantFrom(1, 20, 300, 900, 1_100, 2_500, 6_000))),
  act(2, "more", one(which)),
  act(1, "leave", one(which)),
  act(1, "purge", one(purged)),
  act(1, "mood", one(fc.constantFrom<ServiceMood>("answer", "answer", "fail", "hold", "nonsense"))),
  act(1, "spoil", fc.tuple(fc.nat(500), fc.constantFrom("empty", "foreign", "cut"))),
  act(1, "configure", one(times)),
  act(1, "trap", one(worker)),
  act(1, "outlive", fc.tuple(hot, worker)),
);

const same: Question = { tenant: "a", model: "m", text: "1", stream: false };
const brief: Times = { scope: "r", ttl: 1_000, revalidate: 0, ifError: 0, wait: 500 };
type History = [first: Times, workers: number, acts: Act[]];
/** What was got wrong before. */
const histories: History[] = [
  // A leader that went with its worker, long ago and with nobody behind it, was one of the four that may fail.
  [
    { ...brief, wait: 4_000 },
    1,
    [
      ["ask", same, false, 0],
      ["trap", 0],
      ["pass", 6_000],
      ["ask", same, true, 0],
      ["outlive", { ...same, text: "4" }, 0],
      ["ask", same, false, 0],
      ["end", 0, "whole"],
      ["ask", same, true, 0],
      ["ask", same, false, 0],
      ["end", 0, "failed"],
      ["ask", same, false, 0],
      ["ask", same, false, 0],
      ["outlive", same, 0],
      ["end", 0, "whole"],
      ["end", 0, "local"],
    ],
  ],
  // One comes to wait for a leader that is gone already, and nobody knows yet: it has failed him.
  [
    { ...brief, ttl: 3_000 },
    2,
    [
      ["ask", { ...same, text: "3" }, false, 1, { at: 0, question: same, worker: 0 }],
      ["trap", 0],
      ["outlive", same, 1],
      ["pass", 1],
      ["ask", same, false, 0, { at: 0, question: same, worker: 0 }],
      ["end", 0, "local"],
      ["ask", same, false, 0],
      ["end", 0, "failed"],
      ["ask", same, false, 0],
      ["end", 0, "failed"],
      ["ask", same, false, 0],
    ],
  ],
  // The same, and who came got an old answer at once.
  [
    { ...brief, revalidate: 2_000 },
    2,
    [
      ["pass", 900],
      ["ask", same, false, 1],
      ["trap", 1],
      ["ask", same, true, 0],
      ["end", 0, "whole"],
      ["outlive", same, 3],
      ["pass", 2_500],
      ["ask", same, false, 0],
      ["outlive", same, 0],
      ["outlive", same, 0],
      ["ask", same, false, 0],
      ["end", 0, "cut"],
      ["pass", 1],
      ["ask", same, true, 0],
      ["ask", same, false, 0],
    ],
  ],
  // A letter comes to a worker while it asks.
  [
    brief,
    3,
    [
      ["ask", same, false, 1],
      ["ask", same, false, 2],
      ["ask", same, false, 0, { at: 0, question: same, worker: 1 }],
      ["trap", 2],
      ["outlive", same, 0],
      ["ask", same, true, 0],
      ["end", 0, "failed"],
      ["leave", 0],
      ["pass", 2_500],
      ["pass", 1],
      ["ask", same, true, 1],
      ["configure", brief],
      ["end", 0, "failed"],
      ["ask", same, false, 0, { at: 0, question: same, worker: 1 }],
    ],
  ],
];

describe("in any order of anything", () => {
  it("nobody gets what he should not, and everybody gets something", async () => {
    const counts = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(
        times,
        fc.integer({ min: 1, max: WORKERS }),
        fc.array(acts, { minLength: 10, maxLength: 60 }),
        async (first, workers, list) => {
          const model = await CacheModel.start(first, workers);
          model.pass(1_000);
          for (const each of list) perform(model, each);
          model.mood("answer");
          model.finish();
          for (const [what, count] of model.counts) counts.set(what, (counts.get(what) ?? 0) + count);
        },
      ),
      { numRuns: 150, examples: histories },
    );
    const met = [
      "hit",
      "coalesced",
      "stale",
      "stand-in",
      "miss",
      "alone",
      "handover",
      "purge",
      "trap",
      "spoil",
      "configure",
      ...endings,
    ];
    expect(met.filter((what) => (counts.get(what) ?? 0) < 3)).toEqual([]);
  }, 60_000);
});

describe("memory", () => {
  it("stays what it is, however many ask for however many things", async () => {
    const cache = await CacheHost.start(
      { tenantHeader: "x-t", maxBytes: 1 << 20, ...open({ ttlMs: 60_000 }) },
      { workers: 2 },
    );
    let asked = 0;
    const once = () => {
      const at = asked++;
      const body = say(`${(at * 7919) % 500}`);
      const leader = cache.ask(body, [["x-t", `${at % 3}`]], at % 2);
      const others = [0, 1].map((worker) => cache.ask(body, [["x-t", `${at % 3}`]], worker));
      const kinds = [
        () => cache.answer(leader, document("x".repeat((at * 31) % 9_000))),
        () => cache.answer(leader, { status: "500", pieces: ["no"] }),
        () => leader.end(),
        () => cache.answer(leader, { pieces: ["{", document("cut").slice(1, -9)] }),
      ];
      if (leader.localReply === undefined) kinds[at % 7 < 4 ? 0 : at % 7 === 4 ? 1 : at % 7 === 5 ? 2 : 3]?.();
      if (at % 50 === 0) cache.host.advance(500);
      for (const stream of others) {
        if (stream.localReply === undefined && stream.upstream.ended) cache.answer(stream, document("y"));
        stream.end();
      }
    };
    const vm = cache.host.workerVm(0, "cache");
    expect(memoryGrowth(vm, 3_000, once, 1_500)).toBe(0);
    expect(cache.host.sharedData.bytes("cache")).toBeLessThan((1 << 20) + (64 << 10));
    expect(cache.trapped).toBe(false);
  });
});
