import { describe, expect, it } from "vitest";
import {
  aKey,
  begin,
  dequeue,
  enqueue,
  get,
  keyOf,
  meet,
  resolve,
  set,
  startSome,
} from "../../test/state/flight-driver.ts";

/** Flights whose answers are read along: who is told where, in one worker and in several, and what comes of leaders that fail before. */

describe("in one worker", () => {
  it("the leader is told that it is wanted, who waits is told where to read, and who comes later need not wait", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const leader = a.join(aKey, 1, begin);
    expect(a.isWanted(leader.ticket)).toBe(false);
    const [second, third] = [a.join(aKey, 2, begin), a.join(aKey, 3, begin)];
    a.hostcalls();
    a.order(second.ticket);
    a.order(third.ticket);
    expect(a.told()).toMatchObject([
      { news: "wanted", ticket: leader.ticket },
      { news: "wanted", ticket: leader.ticket },
    ]);
    expect(a.isWanted(leader.ticket)).toBe(true);
    a.open(leader.ticket, 77);
    expect(a.told()).toMatchObject([
      { id: 2, news: "live", ticket: second.ticket, joined: 77 },
      { id: 3, news: "live", ticket: third.ticket, joined: 77 },
    ]);
    expect([a.join(aKey, 4, begin).role, a.place()]).toEqual(["live", 77]);
    expect(a.hostcalls()).toEqual([]);
    expect(a.report()).toMatchObject({ waiting: 0, running: 1 });
    a.finish(leader.ticket, "stored", begin + 5);
    expect(a.hostcalls()).toEqual([get, set]);
    expect(a.news()).toEqual([]);
    expect(a.join(aKey, 5, begin + 6).role).toBe("look");
  });

  it.each(["failed", "private", "abandoned"] as const)("nobody reads along what is over (%s)", async (outcome) => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const leader = a.join(aKey, 1, begin);
    a.open(leader.ticket, 77);
    a.finish(leader.ticket, outcome, begin);
    expect(a.join(aKey, 2, begin).role).toBe("leader");
    expect(a.join(aKey, 3, begin).role).toBe("local");
  });

  it("who takes over is wanted by those who wait on, and what could be read of the one before is not shown", async () => {
    const { workers } = await startSome(1);
    const [a] = workers;
    const leader = a.join(aKey, 1, begin);
    const [second, third] = [a.join(aKey, 2, begin), a.join(aKey, 3, begin)];
    for (const { ticket } of [second, third]) a.order(ticket);
    a.told();
    a.finish(leader.ticket, "failed", begin);
    expect(a.news()).toEqual(["2 lead"]);
    expect(a.isWanted(second.ticket)).toBe(true);
    expect(a.isWanted(leader.ticket)).toBe(false);
    // That of another one.
    a.open(leader.ticket, 66);
    expect([a.news(), a.join(aKey, 4, begin).role]).toEqual([[], "local"]);
    a.open(second.ticket, 77);
    expect(a.told()).toMatchObject([
      { id: 3, news: "live", joined: 77 },
      { id: 4, news: "live", joined: 77 },
    ]);
    a.shut(second.ticket);
    const late = a.join(aKey, 5, begin);
    expect(late.role).toBe("local");
    a.finish(second.ticket, "abandoned", begin);
    expect(a.news()).toEqual(["5 lead"]);
    expect(a.isWanted(late.ticket)).toBe(false);
    const last = a.join(aKey, 6, begin);
    a.order(last.ticket);
    expect(a.told()).toMatchObject([{ news: "wanted", ticket: late.ticket }]);
  });
});

describe("across workers", () => {
  it("a letter says that an answer is wanted, and one where it can be read", async () => {
    const { host, workers } = await startSome(3);
    const [a, b, c] = workers;
    meet(workers.slice(0, 3), begin);
    const leader = a.join(aKey, 1, begin);
    const others = [b.join(aKey, 2, begin), b.join(aKey, 3, begin)];
    for (const worker of [a, b]) worker.hostcalls();
    for (const { ticket } of others) b.order(ticket);
    expect(b.hostcalls()).toEqual([resolve, enqueue]);
    host.turn();
    expect(a.told()).toMatchObject([{ news: "wanted", ticket: leader.ticket }]);
    expect([a.hostcalls(), a.isWanted(leader.ticket)]).toEqual([[dequeue, dequeue], true]);
    a.open(leader.ticket, 77);
    expect(a.hostcalls()).toEqual([resolve, enqueue]);
    host.turn();
    expect(b.told()).toMatchObject([
      { id: 2, news: "live", joined: 77 },
      { id: 3, news: "live", joined: 77 },
    ]);
    expect(b.report()).toMatchObject({ waiting: 0 });
    // Who comes later, and from elsewhere, asks for itself.
    for (const worker of [b, c]) {
      const late = worker.join(aKey, 4, begin + 1);
      expect(late.role).toBe("remote");
      worker.order(late.ticket);
      host.turn();
      host.turn();
      expect(worker.told()).toMatchObject([{ id: 4, news: "live", joined: 77 }]);
    }
    expect(a.news()).toEqual([]);
    a.finish(leader.ticket, "stored", begin + 5);
    host.turn();
    for (const worker of [b, c]) expect([worker.news(), worker.report().waiting]).toEqual([[], 0]);
    expect(b.join(aKey, 5, begin + 6).role).toBe("look");
  });

  it("a leader elsewhere that takes over is asked anew within a second, and lost letters are sent again", async () => {
    const { host, workers } = await startSome(3);
    const [a, b, c] = workers;
    meet(workers.slice(0, 3), begin);
    const leader = a.join(aKey, 1, begin);
    const [second, third] = [b.join(aKey, 2, begin), c.join(aKey, 3, begin)];
    for (const [worker, { ticket }] of [
      [b, second],
      [c, third],
    ] as const)
      worker.order(ticket);
    host.turn();
    a.told();
    a.finish(leader.ticket, "failed", begin + 1);
    host.turn();
    expect(b.news()).toEqual(["2 lead"]);
    expect(b.isWanted(second.ticket)).toBe(false);
    for (const worker of workers.slice(0, 3)) worker.tick(begin + 900);
    host.turn();
    expect(b.told()).toMatchObject([{ news: "wanted", ticket: second.ticket }]);
    b.open(second.ticket, 88);
    host.turn();
    expect(c.told()).toMatchObject([{ id: 3, news: "live", joined: 88 }]);
  });

  it("letters about flights that nobody leads or awaits do nothing", async () => {
    const { host, workers } = await startSome(2);
    const [a, b] = workers;
    meet(workers.slice(0, 2), begin);
    const leader = a.join(aKey, 1, begin);
    const { ticket } = b.join(aKey, 2, begin);
    b.order(ticket);
    a.finish(leader.ticket, "private", begin + 1);
    host.turn();
    expect([a.news(), b.news()]).toEqual([[], ["2 alone"]]);
    const next = a.join(keyOf(1), 3, begin + 2);
    const waits = b.join(keyOf(1), 4, begin + 2);
    b.order(waits.ticket);
    b.leave(waits.ticket, begin + 2);
    host.turn();
    a.open(next.ticket, 77);
    host.turn();
    expect(b.news()).toEqual([]);
    expect(b.join(keyOf(1), 5, begin + 3).role).toBe("remote");
  });
});
