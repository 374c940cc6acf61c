import { describe, expect, it } from "vitest";
import {
  aKey,
  begin,
  dequeue,
  enqueue,
  get,
  type Key,
  keyOf,
  meet,
  refuse,
  register,
  resolve,
  set,
  setKey,
  startSome,
} from "../../test/state/flight-driver.ts";

/** Flights when workers race, the host refuses, and shared data and queues hold anything. */

describe("when the host does not play along", () => {
  it("workers that ask between each other's read and write agree on one leader", async () => {
    const { host, workers } = await startSome(3);
    const [a, b, c] = workers;
    meet(workers.slice(0, 3), begin);
    for (let n = 0; n < 20; n++) {
      const roles: string[] = [];
      host.sharedData.interleave = ({ operation, thread }) => {
        if (operation !== "set" || thread !== 1) return;
        host.sharedData.interleave = undefined;
        roles.push(b.join(keyOf(n), 2, begin).role, c.join(keyOf(n), 3, begin).role);
      };
      roles.push(a.join(keyOf(n), 1, begin).role);
      expect(roles.sort()).toEqual(["leader", "remote", "remote"]);
    }
    host.sharedData.interleave = undefined;
    // One that begins to wait while the flight ends is told, or finds the end.
    const leader = a.join(aKey, 1, begin);
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation !== "set" || thread !== 2) return;
      host.sharedData.interleave = undefined;
      a.finish(leader.ticket, "stored", begin);
    };
    expect(b.join(aKey, 2, begin).role).toBe("look");
    const next = a.join(keyOf(99), 1, begin);
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation !== "set" || thread !== 1) return;
      host.sharedData.interleave = undefined;
      expect(b.join(keyOf(99), 2, begin).role).toBe("remote");
    };
    a.finish(next.ticket, "stored", begin);
    host.turn();
    expect(b.news()).toEqual(["2 look"]);
  });

  it("a letter that comes while a worker is busy is taken when it is done", async () => {
    const { host, workers } = await startSome(2);
    const [a, b] = workers;
    meet([a, b], begin);
    const leader = a.join(aKey, 1, begin);
    b.join(aKey, 2, begin);
    a.finish(leader.ticket, "stored", begin + 1);
    let turns = 0;
    host.sharedData.interleave = ({ thread }) => {
      if (thread === 2 && turns++ === 0) host.turn();
    };
    expect(b.join(keyOf(1), 3, begin + 1).role).toBe("leader");
    host.sharedData.interleave = undefined;
    expect([turns, b.news()]).toEqual([2, []]);
    host.turn();
    expect(b.news()).toEqual(["2 look"]);
  });

  it("a refusal costs a call for each worker, and no more", async () => {
    for (const hostcall of [get, set]) {
      const { host, workers } = await startSome(2);
      const [a, b] = workers;
      meet(workers, begin);
      refuse(host, hostcall);
      const leader = a.join(aKey, 1, begin);
      expect([leader.role, a.join(aKey, 2, begin).role, b.join(aKey, 3, begin).role]).toEqual([
        "leader",
        "local",
        "leader",
      ]);
      expect(a.report().unshared).toBe(1);
      a.finish(leader.ticket, "failed", begin);
      expect(a.news()).toEqual(["2 lead"]);
      host.faults.clear();
    }
  });

  it("an end that cannot be written is written later, and a new leader takes the flight as it is", async () => {
    const { host, workers } = await startSome(2);
    const [a, b] = workers;
    meet(workers, begin);
    const leader = a.join(aKey, 1, begin);
    b.join(aKey, 2, begin);
    refuse(host, set);
    a.finish(leader.ticket, "stored", begin + 1);
    expect(a.join(aKey, 3, begin + 2).role).toBe("look");
    host.faults.clear();
    host.turn();
    b.tick(begin + 900);
    expect(b.news()).toEqual([]);
    a.tick(begin + 900);
    host.turn();
    expect(b.news()).toEqual(["2 look"]);
    expect(a.report().running).toBe(0);
    // The same, but somebody comes before it is written.
    const other = a.join(keyOf(1), 1, begin + 1000);
    b.join(keyOf(1), 2, begin + 1000);
    refuse(host, set);
    a.finish(other.ticket, "failed", begin + 1001);
    host.faults.clear();
    const next = a.join(keyOf(1), 3, begin + 1002);
    expect(next.role).toBe("leader");
    a.tick(begin + 1350);
    b.tick(begin + 1350);
    b.tick(begin + 2250);
    expect(b.news()).toEqual([]);
    a.finish(next.ticket, "stored", begin + 2300);
    host.turn();
    expect(b.news()).toEqual(["2 look"]);
  });

  it("queues that cannot be had leave it to the ticks", async () => {
    for (const hostcall of [register, resolve, enqueue, dequeue]) {
      const { host, workers } = await startSome(2);
      const [a, b] = workers;
      refuse(host, hostcall);
      meet(workers, begin);
      const leader = a.join(aKey, 1, begin);
      b.join(aKey, 2, begin);
      a.finish(leader.ticket, "stored", begin + 1);
      host.turn();
      expect(b.news()).toEqual([]);
      for (let after = 450; after <= 1350; after += 450) b.tick(begin + after);
      expect(b.news()).toEqual(["2 look"]);
      expect(a.report().unsent).toBe(hostcall === dequeue ? 0 : 1);
      host.faults.clear();
    }
  });

  it("a set holds 16 flights; one more is its worker's own until there is room", async () => {
    const { host, workers, again } = await startSome(2);
    const [a, b] = workers;
    meet(workers, begin);
    const same = (n: number): Key => [aKey[0], BigInt(n)];
    const tickets = Array.from({ length: 16 }, (_, n) => a.join(same(n), n, begin).ticket);
    expect(host.sharedData.get("", setKey)?.value).toHaveLength(8 + 16 * 48);
    expect(a.join(same(16), 16, begin).role).toBe("leader");
    expect(a.report().unshared).toBe(1);
    expect(b.join(same(16), 17, begin).role).toBe("leader");
    expect(b.join(same(15), 17, begin).role).toBe("remote");
    a.finish(tickets[3] ?? 0, "stored", begin + 1);
    // Room of one that has ended, of one that is open for long, and at last of those whose worker is gone.
    expect(b.join(same(20), 20, begin + 1).role).toBe("leader");
    expect(a.join(same(20), 20, begin + 1).role).toBe("remote");
    a.kill();
    const heir = again(0);
    for (let after = 450; after <= 4050; after += 450) b.tick(begin + after);
    expect(heir.join(same(30), 30, begin + 4050).role).toBe("leader");
    expect(b.join(same(30), 30, begin + 4050).role).toBe("remote");
  });

  it("bytes that are no set are as none, and bytes that are one lead nowhere", async () => {
    const { host, workers } = await startSome(2);
    const [a, b] = workers;
    meet(workers, begin);
    const entry = (state: number, slot: number, generation: bigint, at: bigint, waiting = 0n) => {
      const bytes = Buffer.alloc(56);
      bytes.writeUInt32LE(0x31466d74, 0);
      for (const [index, word] of [...aKey, generation, at, waiting].entries()) {
        bytes.writeBigInt64LE(BigInt.asIntN(64, word), 8 + index * 8);
      }
      bytes.set([slot, state, 255], 48);
      return bytes;
    };
    const now = BigInt(begin);
    const all = 2n ** 64n - 1n;
    const values = [
      Buffer.alloc(0),
      Buffer.alloc(7, 255),
      Buffer.alloc(8 + 17 * 48, 1),
      entry(1, 0, 1n, now).subarray(0, 55),
      Buffer.alloc(56, 0xff),
      entry(4, 0, 1n, now, all),
      entry(255, 0, 1n, now, all),
      entry(1, 64, 1n, now, all),
      entry(1, 255, 1n, now, all),
      entry(1, 63, all, now, all),
      entry(1, 0, 0n, now, all),
      entry(1, 0, 1n, -(2n ** 63n), all),
      entry(2, 0, 1n, now, all),
      entry(2, 63, all, 2n ** 63n - 1n, all),
      entry(3, 0, 1n, 2n ** 62n, all),
    ];
    for (const value of values) {
      host.sharedData.set("", setKey, value, 0);
      const leader = a.join(aKey, 1, begin);
      expect([leader.role, b.join(aKey, 2, begin).role]).toEqual(["leader", "remote"]);
      a.finish(leader.ticket, "private", begin);
      host.turn();
      expect(b.news()).toEqual(["2 alone"]);
    }
    // And a set that is spoilt while they wait.
    for (const value of values) {
      const leader = a.join(aKey, 1, begin);
      b.join(aKey, 2, begin);
      host.sharedData.set("", setKey, value, 0);
      a.finish(leader.ticket, "stored", begin + 1);
      host.turn();
      for (const worker of [a, b]) worker.tick(begin + 1000);
      const [told] = b.told();
      expect(["look", "lead"]).toContain(told?.news);
      b.leave(told?.ticket ?? 0, begin + 1000);
      expect([a.report(), b.report()]).toMatchObject([
        { running: 0, waiting: 0 },
        { running: 0, waiting: 0 },
      ]);
    }
  });

  it("letters that are none are taken and forgotten", async () => {
    const { host, workers } = await startSome(2);
    const [a, b] = workers;
    meet(workers, begin);
    const leader = a.join(aKey, 1, begin);
    b.join(aKey, 2, begin);
    const queue = host.sharedQueues.resolve("", "tm.pf.1.0000000000000007.q1");
    const letter = (magic: number, kind: number, low: bigint) => {
      const bytes = Buffer.alloc(24);
      bytes.writeUInt32LE(magic, 0);
      bytes.writeInt32LE(kind, 4);
      bytes.writeBigUInt64LE(low, 8);
      bytes.writeBigUInt64LE(aKey[1], 16);
      return bytes;
    };
    const magic = 0x314d6d74;
    const bad = [Buffer.alloc(0), Buffer.alloc(23), Buffer.alloc(100_000, 1), letter(1, 0, aKey[0])];
    for (const kind of [4, -1, 2 ** 31 - 1]) bad.push(letter(magic, kind, aKey[0]));
    // Of flights that nobody knows, and a false one that this is open: shared data knows better.
    for (const kind of [0, 1, 2, 3]) bad.push(letter(magic, kind, 99n));
    bad.push(letter(magic, 1, aKey[0]), letter(magic, 2, aKey[0]));
    for (const bytes of bad) host.sharedQueues.enqueue(queue, bytes);
    host.turn();
    expect(b.news()).toEqual([]);
    expect(host.sharedQueues.length(queue)).toBe(0);
    a.finish(leader.ticket, "stored", begin + 1);
    host.turn();
    expect(b.news()).toEqual(["2 look"]);
  });
});
