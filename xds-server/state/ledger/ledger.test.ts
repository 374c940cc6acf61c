import { beforeEach, describe, expect, it } from "vitest";
import { Patterns } from "./budgets.ts";
import { parseLedgerConfig } from "./config.ts";
import { Ledger, type LedgerObserver, type Outcome, RequestError } from "./ledger.ts";
import { MemoryStore } from "./memory-store.ts";
import { Code, type Descriptor, type LimitOverride, type RateLimitResponse, UNIT } from "./protocol.ts";
import { Mode } from "./store.ts";

/** What a call means, from its entries to the statuses of its answer, on a memory store and a clock that stands still. */

const NOW = Date.parse("2026-11-21T10:00:30Z");
const CONFIG = `
domains:
  - name: llm
    descriptors:
      - {name: gold, entries: [tenant=gold-*], limits: [{amount: 1000, per: minute}]}
      - name: tenant
        entries: [tenant]
        limits: [{amount: 100, per: minute}, {amount: 150, per: day, timeZone: Europe/Berlin}]
      - {name: model, entries: [tenant, model], limits: [{amount: 50, per: hour, rolling: true}], secret: [tenant]}
      - {name: free, entries: [free], limits: [{amount: 10, per: second, shadow: true}]}
      - {name: stock, entries: [stock], overLimit: record, limits: [{amount: 100, per: minute}]}
      - {name: own, entries: [own], override: true, limits: [{amount: 5, per: minute}]}
      - {name: money, entries: [money], limits: [{amount: 1000000000000, per: month}]}
`;

interface Options {
  readonly hits?: number;
  readonly negative?: boolean;
  readonly limit?: LimitOverride;
}

function descriptor(
  entries: Readonly<Record<string, string>>,
  { hits, negative = false, limit }: Options = {},
): Descriptor {
  return { entries: Object.entries(entries).map(([key, value]) => ({ key, value })), hits, negative, limit };
}

describe("ledger", () => {
  let ledger: Ledger;
  let store: MemoryStore;
  let outcomes: Outcome[];
  let notes: string[];

  beforeEach(() => {
    const parsed = parseLedgerConfig("a.yaml", CONFIG);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
    outcomes = [];
    notes = [];
    const observer: LedgerObserver = {
      charged: (outcome) => outcomes.push(outcome),
      unmatched: (domain) => notes.push(`unmatched ${domain}`),
      replayed: (domain) => notes.push(`replayed ${domain}`),
    };
    store = new MemoryStore();
    ledger = new Ledger(new Patterns(parsed.config), store, observer);
  });

  const ask = (descriptors: readonly Descriptor[], { hits = 0, now = NOW, domain = "llm" } = {}) =>
    ledger.shouldRateLimit({ domain, descriptors, hits }, now);
  const shown = ({ code, statuses }: RateLimitResponse) => [
    code,
    ...statuses.map((status) => [status.code, status.limit?.requestsPerUnit, status.remaining]),
  ];

  it("counts 1 by default, the request's hits, or the descriptor's own", async () => {
    const acme = { tenant: "acme" };
    expect(await ask([descriptor(acme)])).toEqual({
      code: Code.ok,
      statuses: [
        {
          code: Code.ok,
          limit: { name: "tenant", requestsPerUnit: 100, unit: UNIT.minute },
          remaining: 99,
          resetMs: 30_000,
        },
      ],
    });
    expect(shown(await ask([descriptor(acme)], { hits: 9 }))).toEqual([Code.ok, [Code.ok, 100, 90]]);
    expect(shown(await ask([descriptor(acme, { hits: 20 })], { hits: 9 }))).toEqual([Code.ok, [Code.ok, 100, 70]]);
    expect(shown(await ask([descriptor(acme, { hits: 0 })]))).toEqual([Code.ok, [Code.ok, 100, 70]]);
  });

  it("takes the first pattern that matches, and lets what matches none pass", async () => {
    expect(shown(await ask([descriptor({ tenant: "gold-1" })]))).toEqual([Code.ok, [Code.ok, 1_000, 999]]);
    for (const entries of [{ other: "x" }, { tenant: "a", extra: "b" }, { model: "m", tenant: "t" }]) {
      expect(await ask([descriptor(entries as Record<string, string>)])).toEqual({
        code: Code.ok,
        statuses: [{ code: Code.ok }],
      });
    }
    expect(shown(await ask([descriptor({ tenant: "a" })], { domain: "nowhere" }))[0]).toBe(Code.ok);
    expect(notes).toEqual(["unmatched llm", "unmatched llm", "unmatched llm", "unmatched unknown"]);
  });

  it("charges all descriptors of a request or none, and says which one refused", async () => {
    const both = [descriptor({ tenant: "a" }, { hits: 40 }), descriptor({ tenant: "a", model: "m" }, { hits: 40 })];
    expect(shown(await ask(both))).toEqual([Code.ok, [Code.ok, 100, 60], [Code.ok, 50, 10]]);
    expect(shown(await ask(both))).toEqual([Code.overLimit, [Code.ok, 100, 60], [Code.overLimit, 50, 10]]);
    expect(outcomes.at(-1)).toMatchObject({ descriptor: "model", over: true, unrecorded: 40 });
    // The other tenant's model is another budget.
    expect(shown(await ask([descriptor({ tenant: "b", model: "m" }, { hits: 40 })]))[0]).toBe(Code.ok);
  });

  it("counts two descriptors of one budget together", async () => {
    const twice = [descriptor({ tenant: "a" }, { hits: 60 }), descriptor({ tenant: "a" }, { hits: 60 })];
    expect(shown(await ask(twice))).toEqual([Code.overLimit, [Code.ok, 100, 100], [Code.overLimit, 100, 100]]);
    expect(shown(await ask([descriptor({ tenant: "a" }, { hits: 0 })]))[1]).toEqual([Code.ok, 100, 100]);
  });

  it("reports the most constrained limit: the day's, once less of it is left than of the minute's", async () => {
    await ask([descriptor({ tenant: "a" }, { hits: 100 })]);
    const refused = await ask([descriptor({ tenant: "a" }, { hits: 30 })]);
    expect(refused.statuses[0]).toMatchObject({ code: Code.overLimit, limit: { unit: UNIT.minute }, resetMs: 30_000 });
    const now = NOW + 60_000;
    const next = await ask([descriptor({ tenant: "a" }, { hits: 30 })], { now });
    expect(next.statuses[0]).toMatchObject({ code: Code.ok, limit: { unit: UNIT.day }, remaining: 20 });
    // 23:00 UTC is midnight in Berlin.
    expect(next.statuses[0]?.resetMs).toBe(Date.parse("2026-11-21T23:00:00Z") - now);
  });

  it("admits one request of any size to an untouched window, and no second one", async () => {
    expect(shown(await ask([descriptor({ tenant: "big" }, { hits: 120 })]))).toEqual([Code.ok, [Code.ok, 100, 0]]);
    expect(shown(await ask([descriptor({ tenant: "big" }, { hits: 0 })]))).toEqual([
      Code.overLimit,
      [Code.overLimit, 100, 0],
    ]);
  });

  describe("settlement", () => {
    const settle = (used: number, reserved: number, value = "true", now = NOW) =>
      ask(
        [
          descriptor(
            { tenant: "a", "tokenmesh.settle": value, "tokenmesh.reserved": String(reserved) },
            { hits: used },
          ),
        ],
        { now },
      );
    const left = async (now = NOW) =>
      (await ask([descriptor({ tenant: "a" }, { hits: 0 })], { now })).statuses[0]?.remaining;

    it("gives back what was reserved too much, per limit", async () => {
      // 120 wanted: the minute reserves its 100, the day 120. 110 used: 10 more of the minute (a debt), 10 fewer of the day.
      await ask([descriptor({ tenant: "a" }, { hits: 120 })]);
      await settle(110, 120);
      expect(await left()).toBe(0);
      expect((await ask([descriptor({ tenant: "a" }, { hits: 0 })], { now: NOW + 60_000 })).statuses[0]).toMatchObject({
        limit: { unit: UNIT.day },
        remaining: 40,
      });
    });

    it("charges over the limit, because the tokens are spent", async () => {
      await ask([descriptor({ tenant: "a" }, { hits: 90 })]);
      const answer = await settle(30, 0);
      expect(answer.statuses[0]).toMatchObject({ code: Code.overLimit, remaining: 0 });
      expect(shown(await ask([descriptor({ tenant: "a" }, { hits: 0 })]))[0]).toBe(Code.overLimit);
      await ask([descriptor({ tenant: "a" }, { hits: 25, negative: true })]);
      expect(await left()).toBe(5);
    });

    it("belongs to the window of the admission, and to none when it is over", async () => {
      const gold = (entries: Readonly<Record<string, string>>, hits: number, now: number) =>
        ask([descriptor({ tenant: "gold-1", ...entries }, { hits })], { now });
      await gold({}, 60, NOW);
      await gold({ "tokenmesh.settle": String(NOW), "tokenmesh.reserved": "60" }, 100, NOW + 1_000);
      expect((await gold({}, 0, NOW + 1_000)).statuses[0]?.remaining).toBe(900);
      await gold({ "tokenmesh.settle": String(NOW), "tokenmesh.reserved": "60" }, 100, NOW + 60_000);
      expect((await gold({}, 0, NOW + 60_000)).statuses[0]?.remaining).toBe(1_000);
    });

    it("corrects each limit in its own window", async () => {
      await ask([descriptor({ tenant: "a" }, { hits: 60 })]);
      const later = NOW + 60_000;
      await settle(100, 60, String(NOW), later);
      // The minute of the admission is over: only the day has the 40 more.
      expect((await ask([descriptor({ tenant: "a" }, { hits: 0 })], { now: later })).statuses[0]).toMatchObject({
        limit: { unit: UNIT.day },
        remaining: 50,
      });
    });
  });

  it("gives back, never below nothing", async () => {
    await ask([descriptor({ tenant: "a" }, { hits: 30 })]);
    const refund = await ask([descriptor({ tenant: "a" }, { hits: 50, negative: true })]);
    expect(shown(refund)).toEqual([Code.ok, [Code.ok, 100, 100]]);
  });

  it("records over the limit where the pattern says so, even beside a descriptor that refuses", async () => {
    const stock = (hits: number) => descriptor({ stock: "s" }, { hits });
    expect(shown(await ask([stock(90)]))).toEqual([Code.ok, [Code.ok, 100, 10]]);
    const mixed = [stock(30), descriptor({ tenant: "a" }, { hits: 10 })];
    expect(shown(await ask(mixed))).toEqual([Code.overLimit, [Code.overLimit, 100, 0], [Code.ok, 100, 100]]);
    await ask([descriptor({ stock: "s" }, { hits: 15, negative: true })]);
    expect(shown(await ask([stock(0)]))).toEqual([Code.overLimit, [Code.overLimit, 100, 0]]);
    await ask([descriptor({ stock: "s" }, { hits: 6, negative: true })]);
    expect(shown(await ask([stock(0)]))).toEqual([Code.ok, [Code.ok, 100, 1]]);
  });

  it("counts and reports shadow limits, and shows them to nobody", async () => {
    const free = descriptor({ free: "x" }, { hits: 8 });
    await ask([free]);
    expect(await ask([free])).toEqual({ code: Code.ok, statuses: [{ code: Code.ok }] });
    expect(outcomes.map(({ over, shadowOver }) => [over, shadowOver])).toEqual([
      [false, false],
      [false, true],
    ]);
  });

  it("honours a limit of the request where the pattern allows it", async () => {
    const limit = { requestsPerUnit: 7, unit: UNIT.hour, unitMultiplier: 1 };
    expect((await ask([descriptor({ own: "x" }, { limit })])).statuses[0]?.limit).toEqual({
      name: "own",
      requestsPerUnit: 7,
      unit: UNIT.hour,
    });
    expect((await ask([descriptor({ own: "x" })])).statuses[0]?.limit?.requestsPerUnit).toBe(5);
    expect((await ask([descriptor({ tenant: "x" }, { limit })])).statuses[0]?.limit?.requestsPerUnit).toBe(100);
    const nothing = { ...limit, requestsPerUnit: 0 };
    expect(shown(await ask([descriptor({ own: "zero" }, { limit: nothing })]))[0]).toBe(Code.overLimit);
    await expect(ask([descriptor({ own: "x" }, { limit: { ...limit, unit: 6 } })])).rejects.toBeInstanceOf(
      RequestError,
    );
  });

  it("answers a repeated id from memory; a reservation and its settlement may share one", async () => {
    const call = (more: Record<string, string> = {}) =>
      descriptor({ tenant: "a", "tokenmesh.id": "r1", ...more }, { hits: 60 });
    const first = await ask([call()]);
    expect(await ask([call()])).toEqual(first);
    expect(notes).toEqual(["replayed llm"]);
    expect(outcomes).toHaveLength(1);
    await ask([call({ "tokenmesh.settle": "true" })]);
    expect((await ask([descriptor({ tenant: "a" }, { hits: 0 })])).code).toBe(Code.overLimit);
    expect((await ask([call()], { now: NOW + 599_999 })).statuses[0]?.resetMs).toBe(0);
    expect(notes).toHaveLength(2);
    await ask([call()], { now: NOW + 600_000 });
    expect(notes).toHaveLength(2);
  });

  it("counts usage by budget and model; values of secret keys are hashes", async () => {
    await ask([descriptor({ tenant: "a", "tokenmesh.model": "gpt-5" }, { hits: 50 })]);
    await ask([
      descriptor(
        { tenant: "a", "tokenmesh.model": "gpt-5", "tokenmesh.settle": "1", "tokenmesh.reserved": "50" },
        { hits: 20 },
      ),
    ]);
    await ask([descriptor({ tenant: "key-123", model: "m" }, { hits: 3 })]);
    const rows = await store.usage("{llm}:u:2026-11-21");
    expect(rows).toEqual([
      { row: JSON.stringify(["tenant", [["tenant", "a"]], "gpt-5"]), hits: 20, requests: 1 },
      {
        row: expect.stringMatching(/^\["model",\[\["tenant","sha256:[\w-]{22}"\],\["model","m"\]\],"m"\]$/),
        hits: 3,
        requests: 1,
      },
    ]);
    expect(JSON.stringify(await store.list("", 10))).not.toContain("key-123");
  });

  it("counts usage by UTC day", async () => {
    for (const ms of [0, 86_400_000, 86_400_001, 0]) {
      await ask([descriptor({ tenant: "gold-1" }, { hits: 5 })], { now: NOW + ms });
    }
    const hits = async (day: string) => (await store.usage(`{llm}:u:${day}`)).map((row) => row.hits);
    expect([await hits("2026-11-21"), await hits("2026-11-22")]).toEqual([[10], [10]]);
  });

  it("keeps budgets apart whose entries join to the same text", async () => {
    await ask([descriptor({ tenant: 'a","b' }, { hits: 100 })]);
    await ask([descriptor({ tenant: "a", model: "b" }, { hits: 50 })]);
    expect((await ask([descriptor({ tenant: "a" })])).code).toBe(Code.ok);
    expect(store.size).toBe(3);
  });

  it("refuses what it cannot mean", async () => {
    for (const entries of [
      { tenant: "a", "tokenmesh.sttle": "1" },
      { tenant: "a", "tokenmesh.reserved": "-5" },
      { tenant: "x".repeat(5_000) },
    ]) {
      await expect(ask([descriptor(entries as Record<string, string>)])).rejects.toBeInstanceOf(RequestError);
    }
    const many = Array.from({ length: 33 }, () => descriptor({ tenant: "a" }));
    await expect(ask(many)).rejects.toBeInstanceOf(RequestError);
    expect(shown(await ask([descriptor({ money: "m" }, { hits: 2 ** 63 })]))).toEqual([Code.ok, [Code.ok, 1e12, 0]]);
    expect(outcomes.at(-1)).toMatchObject({ hits: 1e15, mode: Mode.reserve });
  });
});
