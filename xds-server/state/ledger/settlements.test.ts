import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { START } from "../../../test/fixtures/ledger-model.ts";
import { RedisServer, storeBinaries } from "../../../test/fixtures/redis-server.ts";
import { Patterns } from "./budgets.ts";
import { parseLedgerConfig } from "./config.ts";
import { Ledger, type Outcome } from "./ledger.ts";
import { MemoryStore } from "./memory-store.ts";
import { Code, type Descriptor, UNIT } from "./protocol.ts";
import { RedisStore } from "./redis-store.ts";
import { type LedgerStore, Mode } from "./store.ts";

/** Settlements with names, in the company of reservations, over a network that loses calls and answers: each is counted once, in every store. */

const AMOUNT = 1_000;
const LIMIT = { requestsPerUnit: AMOUNT, unit: UNIT.day, unitMultiplier: 1 };
const TEAMS = ["a", "b", "c"];

interface Settlement {
  readonly id: string;
  readonly team: string;
  readonly reserved: number;
  readonly used: number;
}

const descriptor = (team: string, hits: number, control: Readonly<Record<string, string>> = {}): Descriptor => ({
  entries: Object.entries({ rule: "r", team, ...control }).map(([key, value]) => ({ key, value })),
  limit: LIMIT,
  hits,
  negative: false,
});
const reserve = (team: string, hits: number, id?: string) =>
  descriptor(team, hits, id === undefined ? {} : { "tokenmesh.id": id });
const settle = ({ id, team, reserved, used }: Settlement) =>
  descriptor(team, used, {
    "tokenmesh.settle": String(START),
    "tokenmesh.reserved": String(reserved),
    ...(id === "" ? {} : { "tokenmesh.id": id }),
  });

function open(store: LedgerStore) {
  const parsed = parseLedgerConfig("a.yaml", "domains: [{name: d, override: true}]");
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  const outcomes: Outcome[] = [];
  let replays = 0;
  const ledger = new Ledger(new Patterns(parsed.config), store, {
    charged: (outcome) => outcomes.push(outcome),
    unmatched: () => {},
    replayed: () => replays++,
  });
  const ask = (descriptors: readonly Descriptor[], now = START) =>
    ledger.shouldRateLimit({ domain: "d", descriptors, hits: 0 }, now);
  const left = async (team: string, now = START) => (await ask([reserve(team, 0)], now)).statuses[0]?.remaining;
  return { ask, left, outcomes, replays: () => replays };
}

/** What the teams have used, with every settlement once. */
class Reference {
  readonly used = new Map<string, number>(TEAMS.map((team) => [team, 0]));
  readonly #settled = new Set<string>();

  call(settlements: readonly Settlement[], reservations: readonly (readonly [team: string, hits: number])[]): boolean {
    for (const { id, team, reserved, used } of settlements) {
      if (this.#settled.has(id)) continue;
      this.#settled.add(id);
      this.#add(team, used - reserved);
    }
    const before = new Map(this.used);
    let fits = true;
    for (const [team, hits] of reservations) {
      if ((this.used.get(team) ?? 0) + Math.max(1, hits) > AMOUNT) fits = false;
      else this.#add(team, hits);
    }
    if (!fits) for (const [team, used] of before) this.used.set(team, used);
    return fits;
  }

  #add(team: string, hits: number): void {
    this.used.set(team, Math.max(0, (this.used.get(team) ?? 0) + hits));
  }
}

const calls = fc.array(
  fc.record({
    ms: fc.nat(10_000),
    fate: fc.constantFrom("answered", "answered", "answer lost", "answer lost", "never came"),
    reservations: fc.array(fc.tuple(fc.constantFrom(...TEAMS), fc.integer({ min: 1, max: 150 })), { maxLength: 2 }),
    /** Of what is to be told: which go along (a bit each), and whether one of them goes twice. */
    told: fc.nat(255),
    twice: fc.boolean(),
    share: fc.nat(200),
  }),
  { minLength: 1, maxLength: 40 },
);

async function follow(store: LedgerStore, script: typeof calls extends fc.Arbitrary<infer T> ? T : never) {
  const { ask, left } = open(store);
  const reference = new Reference();
  let waiting: Settlement[] = [];
  let now = START;
  let number = 0;
  const send = async (settlements: readonly Settlement[], reservations: readonly (readonly [string, number])[]) => {
    const fits = reference.call(settlements, reservations);
    const { code, statuses } = await ask(
      [...settlements.map(settle), ...reservations.map(([team, hits]) => reserve(team, hits))],
      now,
    );
    expect(code).toBe(fits ? Code.ok : Code.overLimit);
    for (const [index, { team }] of settlements.entries()) {
      // As the meter is after the call.
      const used = reference.used.get(team) ?? 0;
      expect(statuses[index]).toMatchObject({
        code: used > AMOUNT ? Code.overLimit : Code.ok,
        remaining: Math.max(0, AMOUNT - used),
      });
    }
    return fits;
  };
  for (const { ms, fate, reservations, told, twice, share } of script) {
    now += ms;
    const going = waiting.filter((_, index) => (told >> (index % 8)) & 1);
    if (twice && going[0] !== undefined) going.push(going[0]);
    if (fate === "never came") continue;
    const fits = await send(going, reservations);
    if (fate === "answered") {
      waiting = waiting.filter((each) => !going.includes(each));
      for (const [team, reserved] of fits ? reservations : []) {
        waiting.push({ id: `vm-${++number}.0`, team, reserved, used: Math.floor((reserved * share) / 100) });
      }
    }
  }
  await send(waiting, []);
  await send([...waiting].reverse(), []);
  for (const team of TEAMS) expect(await left(team, now)).toBe(Math.max(0, AMOUNT - (reference.used.get(team) ?? 0)));
}

const settlement = (id: string, team: string, reserved: number, used: number): Settlement => ({
  id,
  team,
  reserved,
  used,
});

describe("settlements in memory", () => {
  it("are counted once, whatever is lost and however they are told again", async () => {
    await fc.assert(
      fc.asyncProperty(calls, (script) => follow(new MemoryStore(), script)),
      { numRuns: 300 },
    );
  });

  it("are made although the reservation beside them is refused", async () => {
    const { ask, left } = open(new MemoryStore());
    await ask([reserve("a", 900)]);
    const { code, statuses } = await ask([settle(settlement("1", "a", 900, 950)), reserve("a", 100)]);
    expect([code, ...statuses.map((each) => each.code)]).toEqual([Code.overLimit, Code.ok, Code.overLimit]);
    expect(await left("a")).toBe(50);
    // Room that a settlement gives back is there for the reservation that comes with it.
    expect((await ask([settle(settlement("2", "a", 400, 100)), reserve("a", 300)])).code).toBe(Code.ok);
    expect(await left("a")).toBe(50);
  });

  it("refuse nothing: not what comes with them, and not by themselves", async () => {
    const { ask } = open(new MemoryStore());
    await ask([reserve("a", 900)]);
    const { code, statuses } = await ask([settle(settlement("1", "a", 900, 1_200)), reserve("b", 10)]);
    expect([code, ...statuses.map((each) => each.code)]).toEqual([Code.ok, Code.overLimit, Code.ok]);
    const alone = await ask([settle(settlement("2", "a", 0, 1))]);
    expect([alone.code, alone.statuses[0]?.code]).toEqual([Code.ok, Code.overLimit]);
    expect((await ask([settle(settlement("3", "b", 0, 1)), reserve("a", 1)])).code).toBe(Code.overLimit);
  });

  it("are named by id, budget and numbers: an id may settle several budgets", async () => {
    const { ask, left, replays } = open(new MemoryStore());
    await ask([settle(settlement("x", "a", 0, 10)), settle(settlement("x", "b", 0, 10))]);
    await ask([settle(settlement("x", "a", 0, 20))]);
    const long = "x".repeat(4_000);
    for (let n = 0; n < 2; n++) await ask([settle(settlement(long, "a", 0, 100)), settle(settlement("", "c", 0, 1))]);
    expect(await Promise.all(TEAMS.map((team) => left(team)))).toEqual([870, 990, 998]);
    expect(replays()).toBe(1);
  });

  it("are known for ten minutes from the first time", async () => {
    const { ask, left } = open(new MemoryStore());
    for (const ms of [0, 300_000, 599_999, 600_000, 600_001])
      await ask([settle(settlement("x", "a", 0, 10))], START + ms);
    expect(await left("a")).toBe(980);
  });

  it("do not take the name of the call they come with: a reservation with an id is made once, in any company", async () => {
    const { ask, left, outcomes, replays } = open(new MemoryStore());
    const first = await ask([settle(settlement("1", "a", 0, 10)), reserve("b", 600, "call")]);
    const again = await ask([settle(settlement("2", "a", 0, 20)), reserve("b", 600, "call")]);
    expect(again.statuses[1]).toEqual(first.statuses[1]);
    expect(again.statuses[0]?.remaining).toBe(970);
    expect([await left("a"), await left("b"), replays()]).toEqual([970, 400, 1]);
    const charged = outcomes.filter(({ hits }) => hits > 0).map(({ mode, hits }) => [mode, hits]);
    expect(charged).toEqual([
      [Mode.settle, 10],
      [Mode.reserve, 600],
      [Mode.settle, 20],
    ]);
  });

  it("are remembered as far as there is room, the newest", async () => {
    const { ask, left } = open(new MemoryStore({ maxKeys: 2 }));
    for (const id of ["1", "2", "3", "2", "3", "1"]) await ask([settle(settlement(id, "a", 0, 10))]);
    expect(await left("a")).toBe(960);
  });
});

describe.each(storeBinaries())("settlements on $name", ({ binary }) => {
  if ("reason" in binary) {
    it("are counted once", ({ skip }) => skip(binary.reason));
    return;
  }
  let server: RedisServer;
  let store: RedisStore;
  let direct: Redis;
  beforeAll(async () => {
    server = await RedisServer.startBinary(binary);
    direct = new Redis(server.url);
    store = new RedisStore({ url: server.url, timeoutMs: 5_000 });
    await waitFor(() => store.up(), { what: "Redis" });
  });
  afterAll(async () => {
    await store?.close();
    direct?.disconnect();
    await server?.stop();
  });

  it("are counted once, whatever is lost and however they are told again", async () => {
    const run = async (script: Parameters<typeof follow>[1]) => {
      await direct.flushall();
      await follow(store, script);
    };
    await fc.assert(fc.asyncProperty(calls, run), { numRuns: 60 });
  }, 60_000);

  it("are remembered under one key each, which ends by itself", async () => {
    await direct.flushall();
    const { ask } = open(store);
    await ask([settle(settlement("vm-1.0", "a", 5, 10)), settle(settlement("", "a", 5, 10)), reserve("b", 1)]);
    const names = await direct.keys("tokenmesh:{d}:s:*");
    expect(names).toEqual([expect.stringMatching(/^tokenmesh:\{d\}:s:[\w-]{22}:2:10:5=vm-1\.0$/)]);
    const ttl = await direct.pttl(names[0] ?? "");
    expect(ttl).toBeGreaterThan(590_000);
    expect(ttl).toBeLessThanOrEqual(600_000);
  });

  it("are counted once by ledgers that are told at the same time", async () => {
    await direct.flushall();
    const other = new RedisStore({ url: server.url, timeoutMs: 5_000 });
    await waitFor(() => other.up(), { what: "Redis" });
    const ledgers = [open(store), open(other)];
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => ledgers[n % 2]?.ask([settle(settlement(`vm-${n % 10}.0`, "a", 0, 7))])),
    );
    expect(await ledgers[0]?.left("a")).toBe(AMOUNT - 70);
    await other.close();
  });
});
