import { describe, expect, it } from "vitest";
import { Status } from "../../test/host/index.ts";
import { answer, begin, day, type PurgeKind, startAnswers } from "../../test/state/answer-driver.ts";
import { hashOf } from "../../test/state/eviction.ts";

const key = hashOf(1);
const name = "tm.pp.1";
const until = begin + day;
const none = [0n, 0n] as const;
const later = (ms: number) => begin + ms;

describe("a purge", () => {
  it("means a key, a model, a tenant or all, and what was requested until then", async () => {
    const { workers } = await startAnswers();
    const [one] = workers;
    const [low, high] = key;
    const cases: [PurgeKind, readonly [bigint, bigint], Parameters<typeof one.isDead>[1], readonly [bigint, bigint]][] =
      [
        ["key", key, {}, [low, high ^ 1n]],
        ["key", key, {}, [low ^ 1n, high]],
        ["model", [77n, 0n], { model: 77n }, key],
        ["tenant", [78n, 0n], { tenant: 78n }, key],
      ];
    for (const [kind, target, meta, other] of cases) {
      one.open(1 << 20, 8192);
      expect(one.purge(kind, target, later(100), later(100))).toBe(true);
      const hit = kind === "key" ? key : hashOf(9);
      expect(one.isDead(hit, { ...meta, storedAt: later(100) })).toBe(true);
      expect(one.isDead(hit, { ...meta, storedAt: later(101) })).toBe(false);
      if (kind === "key") expect(one.isDead(other, meta)).toBe(false);
      else expect(one.isDead(hit, {})).toBe(false);
    }
    // Hashes of one kind mean nothing to another.
    expect(one.isDead(key, { storedAt: later(101), model: 78n, tenant: 77n })).toBe(false);
    expect(one.isDead([77n, 0n], {})).toBe(false);
    expect(one.isDead(hashOf(9), {})).toBe(false);
    expect(one.purge("all", none, later(100), later(100))).toBe(true);
    expect(one.isDead(hashOf(9), { storedAt: later(100) })).toBe(true);
    expect(one.isDead(hashOf(9), { storedAt: later(101) })).toBe(false);
  });

  it("takes stored answers from all workers within 250 ms, and lets nobody store one that was asked for before", async () => {
    const { workers } = await startAnswers();
    const [one, other] = workers;
    one.put(key, answer(), until, begin);
    expect(other.find(key, begin)?.found).toBe("fresh");
    expect(one.purge("model", [answer().model, 0n], later(10), later(10))).toBe(true);
    expect(one.find(key, later(10))).toBeUndefined();
    expect(other.find(key, later(250))).toBeUndefined();
    expect([one.counters().purged, other.counters().purged]).toEqual([1, 1]);
    for (const worker of workers) {
      expect(worker.put(key, answer({ storedAt: later(10) }), until, later(300))).toBe("dead");
      expect(worker.find(key, later(300))).toBeUndefined();
    }
    expect(other.put(key, answer({ storedAt: later(11) }), until, later(300))).toBe("stored");
    expect(one.find(key, later(300))?.found).toBe("fresh");
  });

  it("is known to a VM that is made anew before it serves anything", async () => {
    const { workers } = await startAnswers();
    const [one] = workers;
    one.put(key, answer(), until, begin);
    one.purge("key", key, begin, begin);
    one.open(1 << 20, 8192);
    expect(one.counters().isKnown).toBe(false);
    expect(one.find(key, later(1))).toBeUndefined();
    expect(one.counters()).toMatchObject({ isKnown: true, records: 1 });
  });

  it("of the same target is one record, with the later time", async () => {
    const { workers } = await startAnswers();
    const [one, other] = workers;
    one.purge("tenant", [5n, 0n], later(200), later(300));
    other.purge("tenant", [5n, 99n], later(100), later(300));
    expect(other.counters().records).toBe(1);
    expect(other.isDead(key, { tenant: 5n, storedAt: later(200) })).toBe(true);
    other.purge("tenant", [5n, 0n], later(300), later(300));
    expect(other.isDead(key, { tenant: 5n, storedAt: later(300) })).toBe(true);
    other.purge("model", [5n, 0n], later(300), later(300));
    expect(other.counters().records).toBe(2);
  });

  it("is not about what comes", async () => {
    const { workers } = await startAnswers();
    const [one] = workers;
    one.purge("all", none, begin + 365 * day, later(100));
    one.purge("key", key, begin + 365 * day, later(100));
    expect(one.isDead(key, { storedAt: later(100) })).toBe(true);
    expect(one.isDead(key, { storedAt: later(101) })).toBe(false);
    expect(one.purge("model", [1n, 0n], -5, later(100))).toBe(true);
    expect(one.isDead(hashOf(9), { storedAt: 1, model: 1n })).toBe(true); // by "all"
  });

  it("holds when the clock is set back, and forth", async () => {
    const { workers } = await startAnswers();
    const [one, other] = workers;
    one.put(key, answer({ storedAt: begin + day, expiresAt: begin + 3 * day }), until, begin + day);
    one.purge("key", key, begin + day, begin + day);
    expect(one.follow(1n, 1n, begin)).toBe(true);
    expect(other.purge("model", [1n, 0n], begin, begin)).toBe(true);
    for (const worker of workers) expect(worker.find(key, begin + day)).toBeUndefined();
    expect(other.counters()).toMatchObject({ purged: 1, records: 2 });
  });
});

describe("the list", () => {
  it("is full with 64 records; then the oldest one means all until then", async () => {
    const { host, workers } = await startAnswers();
    const [one, other] = workers;
    const order = Array.from({ length: 64 }, (_, i) => (i * 37) % 64);
    for (const i of order) expect(one.purge("key", hashOf(i), later(1000 + i), later(5000))).toBe(true);
    expect(one.counters()).toMatchObject({ records: 64, allBefore: 0 });
    expect(one.isDead(hashOf(99), { storedAt: later(1000) })).toBe(false);
    one.purge("key", hashOf(99), later(3000), later(5000));
    expect(one.counters()).toMatchObject({ records: 64, allBefore: later(1000) });
    expect(one.isDead(hashOf(50), { storedAt: later(1000) })).toBe(true);
    for (let i = 1; i < 64; i++) {
      expect(one.isDead(hashOf(i), { storedAt: later(1000 + i) })).toBe(true);
      expect(one.isDead(hashOf(i), { storedAt: later(1001 + i) })).toBe(false);
    }
    for (let i = 100; i < 1100; i++) other.purge("model", [BigInt(i), 0n], later(5000 + i), later(9000));
    expect(other.counters()).toMatchObject({ records: 64, allBefore: later(5000 + 1035) });
    expect(host.sharedData.get("", name)?.value.length).toBe(32 + 64 * 32);
  });

  it("drops what says no more than all, and what is older than any answer", async () => {
    const { workers } = await startAnswers();
    const [one] = workers;
    for (let i = 0; i < 9; i++) one.purge("key", hashOf(i), later(i), later(100));
    one.purge("all", none, later(4), later(100));
    expect(one.counters()).toMatchObject({ records: 4, allBefore: later(4) });
    one.purge("all", none, later(2), later(100));
    expect(one.counters()).toMatchObject({ records: 4, allBefore: later(4) });
    const life = 60 * day;
    one.purge("model", [1n, 0n], later(6) + life, later(6) + life);
    expect(one.counters().records).toBe(4);
    one.purge("model", [1n, 0n], later(7) + life, later(7) + life);
    expect(one.counters().records).toBe(3);
  });

  it("is a get and a set for a purge, a get for a look, and none in between", async () => {
    const { workers } = await startAnswers();
    const [one, other] = workers;
    one.purge("key", key, begin, begin);
    expect(one.hostcalls()).toEqual(["get", "set"]);
    expect(other.readPurges(begin)).toBe(true);
    expect(other.readPurges(begin)).toBe(false);
    other.hostcalls();
    for (const [age, calls] of [
      [249, []],
      [250, ["get"]],
      [499, []],
      [-1, ["get"]],
    ] as const) {
      expect(other.refreshPurges(later(age))).toBe(false);
      expect(other.hostcalls()).toEqual(calls);
    }
    expect(other.scratchLeft()).toBe(0);
    other.follow(3n, 4n, begin);
    expect(other.hostcalls()).toEqual(["get", "set"]);
    expect(one.readPurges(begin)).toBe(true);
    expect(one.counters()).toMatchObject({ epoch: 3, sequence: 4, records: 1 });
  });

  it("loses nothing in races", async () => {
    const { host, workers } = await startAnswers();
    const [one, other] = workers;
    let i = 1;
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation === "set" && thread === 1 && i % 4 !== 0) other.purge("key", hashOf(1000 + i++), begin, begin);
    };
    for (; i < 40; i++) expect(one.purge("key", hashOf(i), begin, begin)).toBe(true);
    one.follow(8n, 9n, begin);
    host.sharedData.interleave = undefined;
    other.readPurges(begin);
    expect(other.counters()).toMatchObject({ epoch: 8, sequence: 9 });
    const count = other.counters().records;
    let dead = 0;
    for (let n = 0; n < 1100; n++) if (other.isDead(hashOf(n), {})) dead++;
    expect(dead).toBe(count);
    expect(count).toBeGreaterThanOrEqual(39);
    // Lost for ever: it says so.
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation === "set" && thread === 1) other.follow(8n, BigInt(10 + i++), begin);
    };
    expect(one.purge("all", none, begin, begin)).toBe(false);
    expect(one.follow(1n, 1n, begin)).toBe(false);
    expect(one.isDead(hashOf(5000), {})).toBe(false);
  });

  it("stays as it was when the host refuses, or the bytes are wrong", async () => {
    const { host, workers } = await startAnswers();
    const [one, other] = workers;
    one.purge("key", key, begin, begin);
    one.readPurges(begin);
    const good = host.sharedData.get("", name)?.value ?? new Uint8Array();
    for (const call of ["proxy_get_shared_data", "proxy_set_shared_data"]) {
      const disarm = host.faults.inject({ call, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY });
      expect(one.purge("all", none, begin, begin)).toBe(false);
      expect(one.follow(1n, 1n, begin)).toBe(false);
      expect(one.readPurges(later(5))).toBe(false);
      expect(one.isDead(key, {})).toBe(true);
      expect(one.isDead(hashOf(5), {})).toBe(false);
      disarm();
    }
    const wrong = [
      new Uint8Array(),
      good.slice(0, 31),
      good.slice(0, -1),
      Buffer.concat([good, Buffer.alloc(32)]),
      good.with(0, 0),
      good.with(7, 0xff),
      good.with(4, 0xff),
      Buffer.alloc(32 + 65 * 32)
        .fill(good.slice(0, 4), 0, 4)
        .fill(65, 4, 5),
    ];
    for (const bytes of wrong) {
      host.sharedData.set("", name, bytes, 0);
      expect(one.readPurges(later(6))).toBe(false);
      expect(one.isDead(key, {})).toBe(true);
      other.open(1 << 20, 8192);
      other.readPurges(later(6));
      expect(other.isDead(key, {})).toBe(false);
    }
    // Whoever writes next writes down what it knows.
    one.follow(0n, 7n, later(7));
    other.readPurges(later(7));
    expect(other.isDead(key, {})).toBe(true);
    expect(other.counters()).toMatchObject({ records: 1, sequence: 7 });
  });
});
