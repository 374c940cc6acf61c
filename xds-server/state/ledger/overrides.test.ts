import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { RedisServer, storeBinaries } from "../../../test/fixtures/redis-server.ts";
import { type AuditEntry, BudgetAdmin, type BudgetView } from "./budget-admin.ts";
import { Patterns } from "./budgets.ts";
import { parseLedgerConfig } from "./config.ts";
import { Ledger, RequestError } from "./ledger.ts";
import { MemoryStore } from "./memory-store.ts";
import { Code, type Descriptor, type Entry, type LimitOverride, type RateLimitResponse, UNIT } from "./protocol.ts";
import { RedisStore } from "./redis-store.ts";
import type { LedgerStore } from "./store.ts";

/** Limits that come with calls, as tokenmesh's own filter sends them: the same on every store, on a clock that stands still unless a test moves it. */

const NOW = Date.parse("2026-11-21T10:00:30Z");
const MINUTE_END = "2026-11-21T10:01:00.000Z";
const CONFIG = `
domains:
  - name: tokenmesh
    override: true
    descriptors:
      - {name: fixed, entries: [rule=fixed, limit, x-team], limits: [{amount: 5, per: minute}]}
      - {name: own, entries: [own], override: true, limits: [{amount: 50, per: minute}, {amount: 400, per: day, timeZone: Asia/Tokyo}]}
      - {name: open, entries: [open, key], override: true, secret: [key]}
  - {name: plain, descriptors: [{entries: [tenant], limits: [{amount: 5, per: minute}]}]}
`;

const per = (requestsPerUnit: number, unit: number = UNIT.minute): LimitOverride => ({
  requestsPerUnit,
  unit,
  unitMultiplier: 1,
});
const entriesOf = (text: string): readonly Entry[] =>
  text.split(" ").map((each) => ({ key: each.slice(0, each.indexOf("=")), value: each.slice(each.indexOf("=") + 1) }));
const descriptor = (text: string, hits: number, limit?: LimitOverride): Descriptor => {
  return { entries: entriesOf(text), hits, limit, negative: false };
};
const FIXED = { rolling: false, timeZone: "Z", shadow: false, override: true };
const TEAM = "rule=team limit=tokens/minute x-team=acme";
const TEAM_DAY = "rule=team limit=tokens/day x-team=acme";

const shown = ({ code, statuses }: RateLimitResponse) => [
  code,
  ...statuses.map((status) => [status.code, status.limit?.requestsPerUnit, status.remaining]),
];
const short = ({ limits }: BudgetView) =>
  limits.map(({ amount, per, used, remaining, override }) => [per, override, amount, used, remaining]);

const homes = [{ name: "memory", binary: undefined }, ...storeBinaries()];

describe.each(homes)("limits of calls, $name", ({ binary }) => {
  if (binary !== undefined && "reason" in binary) {
    it("work", ({ skip }) => skip(binary.reason));
    return;
  }
  let server: RedisServer | undefined;
  let direct: Redis | undefined;
  let redis: RedisStore | undefined;
  let store: LedgerStore;
  let ledger: Ledger;
  let admin: BudgetAdmin;
  let now = NOW;
  const audited: AuditEntry[] = [];
  const notes: string[] = [];

  beforeAll(async () => {
    if (binary === undefined) return;
    server = await RedisServer.startBinary(binary);
    direct = new Redis(server.url);
    const opened = new RedisStore({ url: server.url, timeoutMs: 5_000 });
    redis = opened;
    await waitFor(() => opened.up(), { what: "Redis" });
  });
  afterAll(async () => {
    await redis?.close();
    direct?.disconnect();
    await server?.stop();
  });
  beforeEach(async () => {
    await direct?.flushall();
    const parsed = parseLedgerConfig("a.yaml", CONFIG);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
    now = NOW;
    audited.length = 0;
    notes.length = 0;
    store = redis ?? new MemoryStore();
    ledger = new Ledger(new Patterns(parsed.config), store, {
      charged: ({ descriptor: name, hits, unrecorded }) => notes.push(`${name} ${hits - unrecorded}`),
      unmatched: (domain) => notes.push(`unmatched ${domain}`),
      replayed: (domain) => notes.push(`replayed ${domain}`),
    });
    const audit = (entry: AuditEntry) => audited.push(entry);
    admin = new BudgetAdmin({ store, patterns: () => ledger.patterns, audit, now: () => now });
  });

  const ask = (...descriptors: readonly Descriptor[]) =>
    ledger.shouldRateLimit({ domain: "tokenmesh", descriptors, hits: 0 }, now);
  const address = (text: string) => ({ domain: "tokenmesh", entries: entriesOf(text) });
  const show = async (text: string) => short(await admin.show(address(text)));

  it("hold whatever the entries are, unless a pattern matches; without one nothing does", async () => {
    expect((await ask(descriptor(TEAM, 60, per(100)))).statuses).toEqual([
      {
        code: Code.ok,
        limit: { name: "override", requestsPerUnit: 100, unit: UNIT.minute },
        remaining: 40,
        resetMs: 30_000,
      },
    ]);
    expect(shown(await ask(descriptor(TEAM, 60, per(100))))).toEqual([Code.overLimit, [Code.overLimit, 100, 40]]);
    expect(shown(await ask(descriptor("any=thing", 7, per(9, UNIT.month))))).toEqual([Code.ok, [Code.ok, 9, 2]]);
    expect(notes.splice(0)).toEqual(["override 60", "override 0", "override 7"]);

    const fixed = "rule=fixed limit=tokens/minute x-team=acme";
    expect(shown(await ask(descriptor(fixed, 1, per(100))))).toEqual([Code.ok, [Code.ok, 5, 4]]);
    expect(notes.splice(0)).toEqual(["fixed 1"]);

    const free = [Code.ok, [Code.ok, undefined, undefined]];
    expect(shown(await ask(descriptor(TEAM, 60)))).toEqual(free);
    expect(shown(await ask(descriptor("open=1 key=k", 60)))).toEqual(free);
    expect(shown(await ask(descriptor("tokenmesh.model=m", 60, per(1))))).toEqual(free);
    const other = { domain: "plain", descriptors: [descriptor(TEAM, 60, per(100))], hits: 0 };
    expect(shown(await ledger.shouldRateLimit(other, now))).toEqual(free);
    expect(notes.splice(0)).toEqual([...new Array(3).fill("unmatched tokenmesh"), "unmatched plain"]);
    expect(shown(await ask(descriptor("open=1 key=k", 60, per(50))))).toEqual([Code.ok, [Code.ok, 50, 0]]);
    expect(notes).toEqual(["open 60"]);

    await expect(ask(descriptor(TEAM, 1, per(100, 6)))).rejects.toBeInstanceOf(RequestError);
    await expect(ask(descriptor(TEAM, 1, { ...per(100), unitMultiplier: 2 }))).rejects.toBeInstanceOf(RequestError);
  });

  it("are charged together or not at all, each in a budget of its own", async () => {
    const call = (hits: number) =>
      ask(descriptor(TEAM, hits, per(100)), descriptor(TEAM_DAY, hits, per(250, UNIT.day)));
    expect(shown(await call(90))).toEqual([Code.ok, [Code.ok, 100, 10], [Code.ok, 250, 160]]);
    expect(shown(await call(20))).toEqual([Code.overLimit, [Code.overLimit, 100, 10], [Code.ok, 250, 160]]);
    now += 60_000;
    expect(shown(await call(100))).toEqual([Code.ok, [Code.ok, 100, 0], [Code.ok, 250, 60]]);
    now += 60_000;
    expect(shown(await call(70))).toEqual([Code.overLimit, [Code.ok, 100, 100], [Code.overLimit, 250, 60]]);
    expect(await show(TEAM)).toEqual([["minute", true, 100, 0, 100]]);
    expect(await show(TEAM_DAY)).toEqual([["day", true, 250, 190, 60]]);
  });

  it("settle where they reserved, in the window of the admission", async () => {
    const settle = (used: number, admittedAt: number, amount = 100) =>
      ask(descriptor(`${TEAM} tokenmesh.settle=${admittedAt} tokenmesh.reserved=80`, used, per(amount)));
    await ask(descriptor(TEAM, 80, per(100)));
    await settle(30, NOW);
    expect(await show(TEAM)).toEqual([["minute", true, 100, 30, 70]]);
    await ask(descriptor(TEAM, 70, per(100)));
    now += 60_000;
    await settle(90, NOW);
    expect(await show(TEAM)).toEqual([["minute", true, 100, 0, 100]]);
  });

  it("may change from call to call: what was used stays, and the newest amount that was asked for is shown", async () => {
    const settle = (amount: number) =>
      ask(descriptor(`${TEAM} tokenmesh.settle=1 tokenmesh.reserved=10`, 10, per(amount)));
    await ask(descriptor(TEAM, 60, per(100)));
    expect(shown(await ask(descriptor(TEAM, 60, per(200))))).toEqual([Code.ok, [Code.ok, 200, 80]]);
    expect(await show(TEAM)).toEqual([["minute", true, 200, 120, 80]]);
    // Refused, and yet the amount is news.
    expect(shown(await ask(descriptor(TEAM, 1, per(50))))).toEqual([Code.overLimit, [Code.overLimit, 50, 0]]);
    expect(await show(TEAM)).toEqual([["minute", true, 50, 120, 0]]);
    await ask(descriptor(TEAM, 0, per(500)));
    expect(await show(TEAM)).toEqual([["minute", true, 500, 120, 380]]);
    // What was admitted under an older amount is settled with that one.
    await settle(100);
    expect(await show(TEAM)).toEqual([["minute", true, 500, 120, 380]]);
    now += 3_600_000;
    expect(await show(TEAM)).toEqual([["minute", true, 500, 0, 500]]);
    await ask(descriptor(TEAM, 3, per(0)));
    expect(await show(TEAM)).toEqual([["minute", true, 0, 0, 0]]);
    await settle(700);
    expect(await show(TEAM)).toEqual([["minute", true, 0, 0, 0]]);
  });

  it("leave no trace of a budget that was never charged, and cost a refused call no write unless the amount is news", async () => {
    await ask(descriptor(TEAM, 5, per(0)), descriptor(TEAM_DAY, 0, per(9)));
    expect(await store.list("", 10)).toEqual([]);
    if (direct !== undefined) expect(await direct.keys("*:b:*")).toEqual([]);
    await ask(descriptor(TEAM, 10, per(10)));
    await direct?.config("RESETSTAT");
    for (let n = 0; n < 3; n++) await ask(descriptor(TEAM, 1, per(10)));
    if (direct !== undefined) expect(await direct.info("commandstats")).not.toMatch(/cmdstat_(hset|pexpire)/);
    await ask(descriptor(TEAM, 1, per(9)));
    if (direct !== undefined) expect(await direct.info("commandstats")).toMatch(/cmdstat_hset:calls=1,/);
    expect(await show(TEAM)).toEqual([["minute", true, 9, 10, 0]]);
  });

  it("do not lose a charge to the news of another descriptor of the same budget", async () => {
    await ask(descriptor(TEAM, 10, per(10)));
    // The settlement is made, the reservation before or behind it is not; both are of one meter.
    const settled = descriptor(`${TEAM} tokenmesh.settle=1`, 7, per(10));
    expect((await ask(settled, descriptor(TEAM, 1, per(8)))).code).toBe(Code.overLimit);
    expect(await show(TEAM)).toEqual([["minute", true, 8, 17, 0]]);
    expect((await ask(descriptor(TEAM, 1, per(6)), settled)).code).toBe(Code.overLimit);
    expect(await show(TEAM)).toEqual([["minute", true, 6, 24, 0]]);
  });

  it("are listed, shown and changed by hand, with a line of the audit log for each change", async () => {
    await ask(descriptor(TEAM, 60, per(100)), descriptor(TEAM_DAY, 60, per(1_000, UNIT.day)));
    await ask(descriptor("open=1 key=secret", 1, per(5)));
    const listed = (await admin.list("tokenmesh")).map((entries) => entries.map((entry) => entry.join("=")).join(" "));
    expect(listed.sort()).toEqual([expect.stringMatching(/^open=1 key=sha256:[\w-]{22}$/), TEAM_DAY, TEAM]);
    expect(await admin.show(address(TEAM))).toEqual({
      domain: "tokenmesh",
      descriptor: "override",
      entries: [
        ["rule", "team"],
        ["limit", "tokens/minute"],
        ["x-team", "acme"],
      ],
      limits: [{ ...FIXED, per: "minute", amount: 100, used: 60, remaining: 40, resetsAt: MINUTE_END }],
    });
    await admin.change(address(TEAM), { action: "set", used: 95 }, "ada", "here");
    expect(shown(await ask(descriptor(TEAM, 6, per(100))))[0]).toBe(Code.overLimit);
    await admin.change({ ...address(TEAM), per: "minute" }, { action: "add", amount: 20 }, "ada", "here");
    expect(shown(await ask(descriptor(TEAM, 6, per(100))))).toEqual([Code.ok, [Code.ok, 100, 19]]);
    const reset = await admin.change(address(TEAM), { action: "reset" }, "ada", "here");
    expect(short(reset)).toEqual([["minute", true, 100, 0, 100]]);
    expect(await show(TEAM_DAY)).toEqual([["day", true, 1_000, 60, 940]]);
    expect(
      audited.map(({ change, before, after }) => [change.action, before && short(before), after && short(after)]),
    ).toEqual([
      ["set", [["minute", true, 100, 60, 40]], [["minute", true, 100, 95, 5]]],
      ["add", [["minute", true, 100, 95, 5]], [["minute", true, 100, 75, 25]]],
      ["reset", [["minute", true, 100, 81, 19]], [["minute", true, 100, 0, 100]]],
    ]);
    for (const wrong of ["rule=team x-team=acme limit=tokens/minute", "rule=team limit=tokens/minute x-team=other"]) {
      for (const call of [
        admin.show(address(wrong)),
        admin.show({ ...address(wrong), per: "minute" }),
        admin.change(address(wrong), { action: "reset" }, "ada", "here"),
      ]) {
        await expect(call).rejects.toMatchObject({ code: "no_such_budget" });
      }
    }
    await expect(admin.show({ ...address(TEAM), per: "day" })).rejects.toMatchObject({ code: "no_such_limit" });
    expect(audited).toHaveLength(3);
    expect(await store.list("", 10)).toHaveLength(3);
  });

  it("are not known of a budget that was made by hand, until a call brings one; a settlement will do", async () => {
    const more = { action: "add", amount: 40 } as const;
    const made = await admin.change({ ...address(TEAM), per: "minute" }, more, "ada", "here");
    expect(made.limits).toEqual([{ ...FIXED, per: "minute", used: -40, resetsAt: MINUTE_END }]);
    await ask(descriptor(`${TEAM} tokenmesh.settle=1`, 50, per(100)));
    expect(await show(TEAM)).toEqual([["minute", true, 100, 10, 90]]);
  });

  it("stand beside the limits of their pattern, or in for them", async () => {
    const pattern = [
      ["minute", false, 50, 0, 50],
      ["day", false, 400, 0, 400],
    ];
    expect(await show("own=x")).toEqual(pattern);
    await ask(descriptor("own=x", 10));
    await ask(descriptor("own=x", 30, per(1_000)), descriptor("own=x", 2, per(7, UNIT.second)));
    expect(await show("own=x")).toEqual([
      ["minute", true, 1_000, 40, 960],
      ["day", false, 400, 10, 390],
      ["second", true, 7, 2, 5],
    ]);
    // A call without a limit is held to those of the pattern, in the same meters, and does not make the amount forgotten.
    expect(shown(await ask(descriptor("own=x", 9)))).toEqual([Code.ok, [Code.ok, 50, 1]]);
    expect((await show("own=x"))[0]).toEqual(["minute", true, 1_000, 49, 951]);
    await admin.change(address("own=x"), { action: "add", amount: 9 }, "ada", "here");
    expect((await show("own=x")).map(([, , , used]) => used)).toEqual([40, 10, -7]);
  });

  it("count in the usage table by budget and model, settled to what was used", async () => {
    const call = (entries: string, model: string, hits: number) =>
      ask(
        descriptor(`${entries} tokenmesh.model=${model}`, hits, per(1_000)),
        descriptor(`${entries.replace("minute", "day")} tokenmesh.model=${model}`, hits, per(1e6, UNIT.day)),
      );
    await call(TEAM, "gpt-5", 100);
    await call(TEAM, "mini", 30);
    await call(TEAM.replace("acme", "other"), "mini", 5);
    const settled = `${TEAM} tokenmesh.model=gpt-5 tokenmesh.settle=${NOW} tokenmesh.reserved=100`;
    await ask(descriptor(settled, 40, per(1_000)));
    const usage = async (...having: readonly string[]) =>
      (await admin.usage("tokenmesh", undefined, having.flatMap(entriesOf))).map((row) => [
        row.descriptor,
        row.entries[1]?.[1],
        row.entries[2]?.[1],
        row.model,
        row.hits,
        row.requests,
      ]);
    expect(await usage("limit=tokens/minute")).toEqual([
      ["override", "tokens/minute", "acme", "gpt-5", 40, 1],
      ["override", "tokens/minute", "acme", "mini", 30, 1],
      ["override", "tokens/minute", "other", "mini", 5, 1],
    ]);
    expect(await usage("limit=tokens/day", "x-team=acme")).toEqual([
      ["override", "tokens/day", "acme", "gpt-5", 100, 1],
      ["override", "tokens/day", "acme", "mini", 30, 1],
    ]);
    expect(await usage("limit=tokens/hour")).toEqual([]);
    expect(await usage()).toHaveLength(6);
  });

  // Texts in Redis outlive ledgers.
  if (binary !== undefined) {
    it("are known by the names of their meters where the amount was not kept", async () => {
      await ask(descriptor(TEAM, 10, per(100)));
      const [{ key } = { key: "" }] = await store.list("{tokenmesh}:b:", 1);
      expect(await direct?.hget(`tokenmesh:${key}`, "minute@Z")).toBe(`${NOW - 30_000}:10;100`);
      await direct?.hset(`tokenmesh:${key}`, "minute@Z", `${NOW - 30_000}:10`, "century@Z", "0:1");
      expect(await show(TEAM)).toEqual([["minute", true, undefined, 10, undefined]]);
      expect(shown(await ask(descriptor(TEAM, 91, per(100))))[0]).toBe(Code.overLimit);
      expect(await show(TEAM)).toEqual([["minute", true, 100, 10, 90]]);
    });
  }
});
