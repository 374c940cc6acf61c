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

/** One call for all who ask the same, in several workers: letters, their loss, and workers that come and go. */

describe("across workers", () => {
  it("one leads, one of each other worker costs two hostcalls, and letters bring the news", async () => {
    const { host, workers } = await startSome(4);
    const [a, b, c, d] = workers;
    meet(workers, begin);
    const leader = a.join(aKey, 1, begin);
    expect(leader.role).toBe("leader");
    expect([b.join(aKey, 2, begin).role, b.join(aKey, 3, begin).role]).toEqual(["remote", "remote"]);
    expect(b.hostcalls()).toEqual([get, set]);
    expect(c.join(aKey, 4, begin).role).toBe("remote");
    expect(a.join(aKey, 5, begin).role).toBe("local");
    a.hostcalls();
    a.finish(leader.ticket, "stored", begin + 5);
    expect(a.hostcalls()).toEqual([get, set, resolve, enqueue, resolve, enqueue]);
    expect([a, b, c, d].flatMap((worker) => worker.news())).toEqual(["5 look"]);
    host.turn();
    expect(b.news()).toEqual(["2 look", "3 look"]);
    expect(b.hostcalls()).toEqual([dequeue, dequeue]);
    expect(b.scratchLeft()).toBe(0);
    expect(c.news()).toEqual(["4 look"]);
    expect(d.hostcalls()).toEqual([]);
    expect(b.report()).toMatchObject({ remotes: 2, waiting: 0 });
    // Queues are known now.
    const again = a.join(keyOf(1), 6, begin + 6);
    b.join(keyOf(1), 7, begin + 6);
    a.hostcalls();
    a.finish(again.ticket, "private", begin + 7);
    expect(a.hostcalls()).toEqual([get, set, enqueue]);
    host.turn();
    expect(b.news()).toEqual(["7 alone"]);
  });

  it("who has just missed the end is told to look, once", async () => {
    const { workers } = await startSome(2);
    const [a, b] = workers;
    meet(workers, begin);
    const { ticket } = a.join(aKey, 1, begin);
    a.finish(ticket, "stored", begin + 10);
    expect(b.join(aKey, 2, begin + 1010)).toEqual({ role: "look", ticket: 0 });
    expect(a.join(aKey, 3, begin + 1010).role).toBe("look");
    expect(b.join(aKey, 2, begin + 1010, { again: true }).role).toBe("leader");
    expect(a.join(aKey, 3, begin + 1010, { again: true }).role).toBe("remote");
    expect(b.report()).toMatchObject({ running: 1, waiting: 0 });
    const late = a.join(keyOf(1), 1, begin);
    a.finish(late.ticket, "stored", begin);
    expect(b.join(keyOf(1), 2, begin + 1001).role).toBe("leader");
    // What was not stored is not worth a look.
    const own = a.join(keyOf(2), 1, begin);
    a.finish(own.ticket, "private", begin);
    expect(b.join(keyOf(2), 2, begin).role).toBe("leader");
  });

  it("a failure goes to one follower of one other worker when there is none in its own", async () => {
    const { host, workers } = await startSome(3);
    const [a, b, c] = workers;
    meet(workers.slice(0, 3), begin);
    const leader = a.join(aKey, 1, begin);
    for (const id of [2, 3]) b.join(aKey, id, begin);
    for (const id of [4, 5]) c.join(aKey, id, begin);
    a.hostcalls();
    a.finish(leader.ticket, "failed", begin + 1);
    // One worker is told, not both.
    expect(a.hostcalls()).toEqual([get, set, resolve, enqueue]);
    host.turn();
    const [told] = b.told();
    expect(told).toMatchObject({ id: 2, news: "lead" });
    expect(c.news()).toEqual([]);
    expect(a.join(aKey, 6, begin + 2).role).toBe("remote");
    b.finish(told?.ticket ?? 0, "failed", begin + 3);
    expect(b.news()).toEqual(["3 lead"]);
    host.turn();
    expect([...a.news(), ...c.news()]).toEqual([]);
    expect(b.report()).toMatchObject({ leaders: 3, handovers: 2, running: 1 });
    // And counts on in the next worker: three have failed.
    b.join(aKey, 7, begin + 4);
    b.leave(told?.ticket ?? 0, begin + 4);
  });

  it("failures are counted through workers", async () => {
    const { host, workers } = await startSome(4);
    meet(workers, begin);
    const tickets = workers.map((worker, id) => worker.join(aKey, id, begin).ticket);
    const seen: string[] = [];
    for (const [at, worker] of workers.entries()) {
      worker.finish(tickets[at] ?? 0, "failed", begin + 1);
      host.turn();
      for (const each of workers) seen.push(...each.news());
    }
    expect(seen).toEqual(["1 lead", "2 lead", "3 lead"]);
    // The fourth failed with nobody behind it; had somebody been there, it would have gone alone.
    const next = workers.map((worker, id) => worker.join(keyOf(3), id, begin + 2).ticket);
    workers[3].join(keyOf(3), 9, begin + 2);
    for (const [at, worker] of workers.entries()) {
      worker.finish(next[at] ?? 0, "failed", begin + 3);
      host.turn();
      for (const each of workers) seen.push(...each.news());
    }
    expect(seen.slice(3)).toEqual(["1 lead", "2 lead", "3 lead", "9 alone"]);
  });

  it("a leader that is gone has failed those who wait elsewhere, and nobody who comes when it is forgotten", async () => {
    const cases = {
      /** Who waits takes over: its own failure is the second. */
      elsewhere: ["2 lead", "10 lead", "11 lead", "12 alone", "13 alone", "14 alone"],
      nowhere: ["11 lead", "12 lead", "13 lead", "14 alone"],
      /** It failed, and who was to take over is gone. */
      gone: ["11 lead", "12 lead", "13 lead", "14 alone"],
    };
    for (const [who, expected] of Object.entries(cases)) {
      const { host, workers } = await startSome(3);
      const [a, b, c] = workers;
      meet(workers.slice(0, 3), begin);
      const dies = who === "gone" ? b : a;
      const first = a.join(aKey, 1, begin);
      if (who !== "nowhere") b.join(aKey, 2, begin);
      dies.kill();
      if (who === "gone") a.finish(first.ticket, "failed", begin + 1);
      host.turn();
      for (let after = 450; after <= 4500; after += 450)
        for (const worker of [a, b, c]) if (worker !== dies) worker.tick(begin + after);
      const leads = who === "elsewhere" ? b : c;
      const late = begin + 4500;
      const seen: string[] = [];
      let { ticket } = leads.join(aKey, 10, late);
      const hear = () => {
        const told = leads.told();
        seen.push(...told.map(({ id, news }) => `${id} ${news}`));
        ticket = told[0]?.ticket ?? ticket;
      };
      hear();
      for (const id of [11, 12, 13, 14]) leads.join(aKey, id, late);
      for (let n = 0; n < 4; n++) {
        leads.finish(ticket, "failed", late);
        hear();
      }
      expect([who, ...seen]).toEqual([who, ...expected]);
    }
  });

  it("a flight that nobody waits for there any more is passed on, to the end", async () => {
    const { host, workers } = await startSome(4);
    const [a, b, c, d] = workers;
    meet(workers, begin);
    const leader = a.join(aKey, 1, begin);
    const gone = [b, c].map((worker) => ({ worker, ...worker.join(aKey, 2, begin) }));
    d.join(aKey, 3, begin);
    for (const { worker, ticket } of gone) worker.leave(ticket, begin);
    expect(b.report().waiting).toBe(0);
    a.leave(leader.ticket, begin + 1);
    host.turn();
    expect(d.news()).toEqual(["3 lead"]);
    const other = a.join(keyOf(1), 1, begin);
    for (const worker of [b, c]) worker.leave(worker.join(keyOf(1), 2, begin).ticket, begin);
    a.finish(other.ticket, "failed", begin + 1);
    host.turn();
    const value = host.sharedData.get("", "tm.pf.1.0000000000000007.01")?.value;
    expect(value).toHaveLength(8);
  });

  it("whoever comes first takes a flight that is open", async () => {
    const { host, workers } = await startSome(3);
    const [a, b, c] = workers;
    meet(workers.slice(0, 3), begin);
    const leader = a.join(aKey, 1, begin);
    b.join(aKey, 2, begin);
    a.finish(leader.ticket, "failed", begin + 1);
    const { role, ticket } = c.join(aKey, 3, begin + 1);
    expect(role).toBe("leader");
    host.turn();
    expect(b.news()).toEqual([]);
    c.finish(ticket, "stored", begin + 2);
    host.turn();
    expect(b.news()).toEqual(["2 look"]);
  });

  it("a letter that is lost is found out within two ticks", async () => {
    for (const [outcome, news] of [
      ["stored", "2 look"],
      ["private", "2 look"],
      ["failed", "2 lead"],
    ] as const) {
      const { host, workers } = await startSome(2);
      const [a, b] = workers;
      meet(workers, begin);
      const leader = a.join(aKey, 1, begin);
      b.join(aKey, 2, begin);
      a.finish(leader.ticket, outcome, begin + 1);
      const queue = host.sharedQueues.resolve("", "tm.pf.1.0000000000000007.q1");
      expect(host.sharedQueues.dequeue(queue)).toHaveLength(24);
      host.turn();
      b.tick(begin + 450);
      expect(b.news()).toEqual([]);
      b.tick(begin + 900);
      expect(b.news()).toEqual([news]);
    }
  });

  it("a letter that nobody was told of is found at the next tick", async () => {
    const { host, workers } = await startSome(2);
    const [a, b] = workers;
    meet(workers, begin);
    const leader = a.join(aKey, 1, begin);
    b.join(aKey, 2, begin);
    a.finish(leader.ticket, "private", begin + 1);
    b.tick(begin + 2);
    expect(b.news()).toEqual(["2 alone"]);
    host.turn();
    expect(b.news()).toEqual([]);
  });

  it("looks about once a second, with one read for each flight", async () => {
    const { workers } = await startSome(2);
    const [a, b] = workers;
    meet(workers, begin);
    for (const n of [1, 2, 3]) {
      a.join(keyOf(n), n, begin);
      b.join(keyOf(n), n, begin);
    }
    b.hostcalls();
    b.tick(begin + 449);
    expect(b.hostcalls()).toEqual([get, dequeue]);
    a.tick(begin + 850);
    b.tick(begin + 850);
    expect(b.hostcalls()).toEqual([get, set, dequeue, get, get, get]);
    expect(b.scratchLeft()).toBe(0);
  });
});

describe("a worker", () => {
  it("that is gone loses its flights to one of those who wait, after 3 s", async () => {
    const { workers, again } = await startSome(3);
    const [a, b, c] = workers;
    meet(workers.slice(0, 3), begin);
    a.join(aKey, 1, begin);
    b.join(aKey, 2, begin);
    b.join(aKey, 3, begin);
    c.join(aKey, 4, begin);
    a.kill();
    const heir = again(0);
    expect(heir.join(aKey, 5, begin + 1).role).toBe("remote");
    const seen: string[] = [];
    for (let after = 450; after <= 4500; after += 450) {
      for (const worker of [c, b, heir]) {
        worker.tick(begin + after);
        seen.push(...worker.news().map((news) => `${after} ${news}`));
      }
    }
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatch(/^(3150|3600|4050) (2|4|5) lead$/);
    expect([b, c, heir].map((worker) => worker.report().takeovers).reduce((sum, one) => sum + one)).toBe(1);
  });

  it("whose configuration ends gives up its flights and sends off who waits", async () => {
    const { workers } = await startSome(2);
    const [a, b] = workers;
    meet(workers, begin);
    a.join(aKey, 1, begin);
    a.join(keyOf(1), 2, begin);
    a.join(keyOf(1), 3, begin);
    b.join(aKey, 4, begin);
    a.release(begin + 1);
    expect(a.news()).toEqual(["3 alone"]);
    b.tick(begin + 2);
    expect(b.news()).toEqual(["4 lead"]);
  });

  it("that was stuck claims its flights anew, and knows which were taken", async () => {
    for (const renumbered of [false, true]) {
      for (const tickFirst of [false, true]) {
        const { host, workers, again } = await startSome(3);
        const [a, b] = workers;
        meet([a, b], begin);
        const kept = a.join(keyOf(1), 1, begin);
        const taken = a.join(aKey, 2, begin);
        for (const id of [3, 4]) a.join(aKey, id, begin);
        b.tick(begin + 3500);
        if (renumbered) meet([again(2)], begin + 3500);
        const { role, ticket } = b.join(aKey, 5, begin + 3500);
        expect(role).toBe("leader");
        if (tickFirst) a.tick(begin + 3600);
        // Its own followers wait for the other leader when theirs fails.
        a.finish(taken.ticket, "failed", begin + 3700);
        expect(a.report().lost).toBe(1);
        expect(a.news()).toEqual([]);
        b.finish(ticket, "stored", begin + 3800);
        host.turn();
        expect(a.news()).toEqual(["3 look", "4 look"]);
        // And what was kept is seen again.
        a.tick(begin + 3850);
        expect(b.join(keyOf(1), 6, begin + 3900).role).toBe("remote");
        a.finish(kept.ticket, "stored", begin + 3900);
        host.turn();
        expect(b.news()).toEqual(["6 look"]);
        expect(b.report().takeovers).toBe(1);
      }
    }
  });

  it("that has just come leads for those who have not heard of it", async () => {
    const { workers } = await startSome(2);
    const [a, b] = workers;
    meet([b], begin);
    expect(a.join(aKey, 1, begin + 1).role).toBe("leader");
    expect(b.join(aKey, 2, begin + 1).role).toBe("remote");
    expect(b.report().takeovers).toBe(0);
  });

  it("of another scope has nothing to do with it", async () => {
    const { workers, again } = await startSome(2);
    workers[0].join(aKey, 1, begin);
    expect(again(1, 8n).join(aKey, 2, begin).role).toBe("leader");
    expect(again(1).join(aKey, 2, begin).role).toBe("remote");
  });
});
