import { describe, expect, it } from "vitest";
import { memoryGrowth } from "../../test/host/flat-memory.ts";
import { aKey, begin, dequeue, get, keyOf, register, set, startSome } from "../../test/state/flight-driver.ts";

/** One call for all who ask the same, in one worker: roles, news, costs, and bounds. */

describe("in one worker", () => {
  it("the first leads, the others wait at no cost, and all are told to look", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    expect(a.hostcalls()).toEqual([]);
    const leader = a.join(aKey, 1, begin);
    expect(leader.role).toBe("leader");
    expect(a.hostcalls()).toEqual([get, set, register, dequeue, get, set]);
    expect([2, 3, 4].map((id) => a.join(aKey, id, begin).role)).toEqual(["local", "local", "local"]);
    expect(a.hostcalls()).toEqual([]);
    expect(a.report()).toMatchObject({ leaders: 1, locals: 3, waiting: 3, running: 1 });
    expect(a.scratchLeft()).toBe(0);
    a.finish(leader.ticket, "stored", begin + 5);
    expect(a.hostcalls()).toEqual([get, set]);
    expect(a.scratchLeft()).toBe(0);
    expect(a.news()).toEqual(["2 look", "3 look", "4 look"]);
    expect(a.report()).toMatchObject({ waiting: 0, running: 0, unshared: 0, handovers: 0 });
    expect(a.join(keyOf(5), 5, begin + 6).role).toBe("leader");
    expect(a.hostcalls()).toEqual([get, set]);
  });

  it("keys that differ in one bit have nothing to do with each other", async () => {
    const { workers } = await startSome(1);
    const [low, high] = aKey;
    for (const bit of [0n, 8n, 31n, 32n, 63n]) {
      expect(workers[0].join([low ^ (1n << bit), high], 1, begin).role).toBe("leader");
      expect(workers[0].join([low, high ^ (1n << bit)], 1, begin).role).toBe("leader");
    }
    expect(workers[0].join([high, low], 1, begin).role).toBe("leader");
    expect(workers[0].join([0n, 0n], 1, begin).role).toBe("leader");
    expect(workers[0].join([0n, 0n], 1, begin).role).toBe("local");
  });

  it("keys that begin alike are told apart, whichever ends first", async () => {
    for (const order of [[0], [1], [2], [0, 1], [1, 0], [2, 1, 0], [0, 2, 1]]) {
      const { workers } = await startSome(1);
      const [a] = workers;
      const alike = [0, 1, 2].map((n) => keyOf(n, 5n));
      const tickets = alike.map((one) => a.join(one, 1, begin).ticket);
      for (const n of order) a.finish(tickets[n] ?? 0, "private", begin);
      // Records are used again by others.
      for (let n = 10; n < 13; n++) expect(a.join(keyOf(n), 2, begin).role).toBe("leader");
      for (const [n, one] of alike.entries()) {
        expect(a.join(one, 3, begin).role).toBe(order.includes(n) ? "leader" : "local");
        expect(a.join(one, 4, begin).role).toBe("local");
      }
      expect(a.report()).toMatchObject({ running: 6, waiting: 6 - order.length });
    }
  });

  it("a leader that fails or goes hands over to who waits longest, at no cost, and the others wait on", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const first = a.join(aKey, 1, begin);
    const others = [2, 3, 4].map((id) => a.join(aKey, id, begin));
    a.hostcalls();
    a.finish(first.ticket, "failed", begin + 1);
    expect(a.told()).toMatchObject([{ id: 2, news: "lead", ticket: others[0]?.ticket }]);
    a.leave(others[0]?.ticket ?? 0, begin + 2);
    expect(a.news()).toEqual(["3 lead"]);
    expect(a.hostcalls()).toEqual([]);
    expect(a.join(aKey, 5, begin + 3).role).toBe("local");
    a.finish(others[1]?.ticket ?? 0, "stored", begin + 4);
    expect(a.news()).toEqual(["4 look", "5 look"]);
    expect(a.report()).toMatchObject({ leaders: 3, handovers: 2, waiting: 0, running: 0 });
  });

  it("the fourth leader that fails sends the others off alone; those that went do not count", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    let { ticket } = a.join(aKey, 0, begin);
    for (let id = 1; id <= 9; id++) a.join(aKey, id, begin);
    const next = (outcome: "failed" | "abandoned") => {
      a.finish(ticket, outcome, begin + 1);
      const told = a.told();
      ticket = told[0]?.ticket ?? 0;
      return told.map(({ id, news }) => `${id} ${news}`);
    };
    expect(next("failed")).toEqual(["1 lead"]);
    expect(next("abandoned")).toEqual(["2 lead"]);
    expect(next("abandoned")).toEqual(["3 lead"]);
    expect(next("failed")).toEqual(["4 lead"]);
    expect(next("failed")).toEqual(["5 lead"]);
    expect(next("failed")).toEqual(["6 alone", "7 alone", "8 alone", "9 alone"]);
    // The next flight starts from nothing.
    const fresh = a.join(aKey, 10, begin + 2);
    a.join(aKey, 11, begin + 2);
    a.finish(fresh.ticket, "failed", begin + 2);
    expect(a.news()).toEqual(["11 lead"]);
  });

  it("nobody waits longer than it said, and one that leaves is not told", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const leader = a.join(aKey, 1, begin);
    a.join(aKey, 2, begin, { wait: 3000 });
    a.join(aKey, 3, begin + 1, { wait: 500 });
    const gone = a.join(aKey, 4, begin, { wait: 100 });
    expect(a.nextDeadline()).toBe(begin + 100);
    a.leave(gone.ticket, begin + 50);
    a.hostcalls();
    a.expire(begin + 500);
    expect(a.news()).toEqual([]);
    expect(a.nextDeadline()).toBe(begin + 501);
    a.expire(begin + 501);
    expect(a.news()).toEqual(["3 alone"]);
    expect(a.hostcalls()).toEqual([]);
    for (let after = 450; after < 3000; after += 450) a.tick(begin + after);
    expect(a.news()).toEqual([]);
    a.tick(begin + 3000);
    expect(a.news()).toEqual(["2 alone"]);
    expect(a.report()).toMatchObject({ timeouts: 2, waiting: 0, running: 1 });
    a.finish(leader.ticket, "stored", begin + 3001);
    expect(a.news()).toEqual([]);
    expect(a.join(aKey, 5, begin, { wait: 0 })).toEqual({ role: "alone", ticket: 0 });
  });

  it("a clock that is set back frees those who wait, one that is a little off does not", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    a.join(aKey, 1, begin);
    a.join(aKey, 2, begin);
    a.tick(begin);
    a.tick(begin - 4000);
    expect(a.news()).toEqual([]);
    a.tick(begin - 3_600_000);
    expect(a.news()).toEqual(["2 alone"]);
  });

  it("tickets of requests that are over do nothing", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const first = a.join(aKey, 1, begin);
    const second = a.join(aKey, 2, begin);
    a.finish(second.ticket, "private", begin);
    expect(a.news()).toEqual([]);
    a.finish(first.ticket, "stored", begin);
    a.news();
    for (const ticket of [first.ticket, second.ticket, 0, 0xffffffff, 12_345]) {
      a.finish(ticket, "private", begin);
      a.leave(ticket, begin);
    }
    // The record is used again, under another ticket.
    const next = [3, 4].map((id) => a.join(keyOf(1), id, begin));
    expect(next.map(({ ticket }) => ticket)).not.toContain(first.ticket);
    expect(new Set([...next, first, second].map(({ ticket }) => ticket & 0xffff)).size).toBe(2);
    a.leave(first.ticket, begin);
    a.leave(second.ticket, begin);
    expect(a.report()).toMatchObject({ waiting: 1, running: 1 });
  });
});

describe("from within the news", () => {
  it("all who find nothing join again: one leads, the others wait for it", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const leader = a.join(aKey, 1, begin);
    for (let id = 2; id <= 5; id++) a.join(aKey, id, begin);
    a.react("rejoin", aKey, begin + 1);
    a.finish(leader.ticket, "stored", begin + 1);
    expect(a.told().map(({ id, news, role }) => [id, news, role])).toEqual([
      [2, "look", "leader"],
      ...[3, 4, 5].map((id) => [id, "look", "local"]),
    ]);
    expect(a.report()).toMatchObject({ waiting: 3, running: 1 });
  });

  it("another one may leave, even one that was about to be told", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const leader = a.join(aKey, 1, begin);
    const all = [2, 3, 4].map((id) => a.join(aKey, id, begin));
    a.react("leave", aKey, begin + 1, all[1]?.ticket);
    a.finish(leader.ticket, "stored", begin + 1);
    expect(a.news()).toEqual(["2 look", "4 look"]);
    expect(a.report()).toMatchObject({ waiting: 0, running: 0 });
  });

  it("a request that is the leader and leaves before it is told hands over", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    a.join(aKey, 1, begin, { wait: 10_000 });
    const first = a.join(keyOf(1), 2, begin);
    a.join(aKey, 3, begin, { wait: 100 });
    const next = a.join(keyOf(1), 4, begin);
    a.join(keyOf(1), 5, begin);
    a.react("leave", aKey, begin + 1, next.ticket);
    // 4 leads in the reaction to 3 that goes alone: as if its client was gone just then.
    a.finish(first.ticket, "failed", begin + 1);
    expect(a.news()).toEqual(["4 lead", "5 lead"]);
    expect(a.report()).toMatchObject({ running: 2, waiting: 1 });
  });
});

describe("bounds", () => {
  it("65536 requests wait or lead, one more goes alone; 8192 flights, one more too", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const leader = a.join(aKey, 0, begin);
    for (let id = 1; id < 65_536; id++) a.join(aKey, id, begin);
    expect(a.join(aKey, 1, begin)).toEqual({ role: "alone", ticket: 0 });
    expect(a.report()).toMatchObject({ waiting: 65_535, alone: 1 });
    a.finish(leader.ticket, "private", begin);
    expect(a.report().waiting).toBe(0);
    a.told();
    for (let n = 0; n < 8192; n++) expect(a.join(keyOf(n), n, begin).role).toBe("leader");
    expect(a.join(keyOf(8192), 1, begin).role).toBe("alone");
    expect(a.join(keyOf(5), 1, begin).role).toBe("local");
    expect(a.report()).toMatchObject({ running: 8192, waiting: 1 });
  }, 60_000);

  it("memory and shared data are flat", async () => {
    const { host, workers } = await startSome(2);
    const [a, b] = workers;
    let now = begin;
    const round = (n: number) => {
      now += 7;
      const keys = Array.from({ length: 8 }, (_, i) => keyOf(n * 8 + i));
      const tickets = keys.map((one, i) => a.join(one, i, now).ticket);
      for (const one of keys) for (let id = 0; id < 20; id++) b.join(one, id, now);
      for (const [i, ticket] of tickets.entries()) a.finish(ticket, i % 2 ? "stored" : "private", now);
      host.turn();
      if (n % 64 === 0) for (const worker of workers) worker.tick(now);
      for (const worker of workers) {
        worker.told();
        worker.hostcalls();
      }
    };
    expect(memoryGrowth(a.vm, 1500, round)).toBe(0);
    expect(memoryGrowth(b.vm, 500, round)).toBe(0);
    expect(b.report().waiting).toBe(0);
    expect(host.sharedData.bytes()).toBeLessThan(256 * (776 + 30) + 2000);
    expect(host.sharedData.keys().length).toBeLessThanOrEqual(257);
  }, 60_000);

  it("all memory is given back at the end", async () => {
    const { workers, again } = await startSome(1);
    const [first] = workers;
    first.release(begin);
    const life = () => {
      const worker = again(0);
      for (let n = 0; n < 100; n++) for (let id = 0; id < 10; id++) worker.join(keyOf(n), id, begin);
      worker.release(begin);
      worker.told();
      worker.hostcalls();
    };
    // The test's module keeps each object, some KB, and no more than that.
    expect(memoryGrowth(first.vm, 100, life, 20)).toBeLessThan(40);
  });
});
