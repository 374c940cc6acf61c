import { describe, expect, it } from "vitest";
import { PushQueue } from "./push-queue.ts";

/** A queue whose event loop is turned by hand; each flush takes `costMs`. */
function queueOf({ sliceMs = 5, costMs = 1 } = {}) {
  let now = 0;
  const turns: (() => void)[] = [];
  const rest: (() => void)[] = [];
  const flushed: string[] = [];
  const queue = new PushQueue({
    defer: (work) => turns.push(work),
    soon: (work) => rest.push(work),
    clock: () => now,
    sliceMs,
  });
  const stream = (name: string, then: () => void = () => {}) => ({
    flush: () => {
      now += costMs;
      flushed.push(name);
      then();
    },
  });
  const turn = () => {
    for (const work of turns.splice(0)) work();
  };
  const restOfTurn = () => {
    for (const work of rest.splice(0)) work();
  };
  return { queue, stream, turn, restOfTurn, flushed, turns };
}

describe("push queue", () => {
  it("flushes a stream once, in a later turn, however often it was added", () => {
    const { queue, stream, turn, flushed } = queueOf();
    const [a, b] = [stream("a"), stream("b")];
    for (const each of [a, b, a, a]) queue.add(each);
    expect(flushed).toEqual([]);
    expect(queue.size).toBe(2);
    turn();
    expect(flushed).toEqual(["a", "b"]);
    expect(queue.size).toBe(0);
  });

  it("works in slices and gives the event loop a turn in between", () => {
    const { queue, stream, turn, flushed, turns } = queueOf({ sliceMs: 5, costMs: 2 });
    for (let i = 0; i < 7; i++) queue.add(stream(`${i}`));
    turn();
    expect(flushed).toHaveLength(3);
    expect(turns).toHaveLength(1);
    turn();
    turn();
    expect(flushed).toEqual(["0", "1", "2", "3", "4", "5", "6"]);
    expect(turns).toHaveLength(0);
  });

  it("sends what a change makes due in the turn of the change, and what waits already with it", () => {
    const { queue, stream, turn, restOfTurn, flushed } = queueOf();
    const [a, b, c] = [stream("a"), stream("b"), stream("c")];
    queue.add(a);
    restOfTurn();
    expect(flushed).toEqual([]);
    for (const each of [b, a, c]) queue.addChanged(each);
    expect(flushed).toEqual([]);
    restOfTurn();
    expect(flushed).toEqual(["a", "b", "c"]);
    turn();
    expect(flushed).toEqual(["a", "b", "c"]);
  });

  it("of a change that is more than a slice, the rest waits for later turns", () => {
    const { queue, stream, turn, restOfTurn, flushed } = queueOf({ sliceMs: 5, costMs: 2 });
    for (let i = 0; i < 7; i++) queue.addChanged(stream(`${i}`));
    restOfTurn();
    restOfTurn();
    expect(flushed).toHaveLength(3);
    turn();
    expect(flushed).toHaveLength(6);
    turn();
    expect(flushed).toHaveLength(7);
  });

  it("further changes in the same turn wait for the next one, those after it do not", () => {
    const { queue, stream, turn, restOfTurn, flushed } = queueOf();
    const a = stream("a");
    for (let change = 0; change < 3; change++) {
      queue.addChanged(a);
      restOfTurn();
    }
    expect(flushed).toEqual(["a"]);
    turn();
    expect(flushed).toEqual(["a", "a"]);
    queue.addChanged(a);
    restOfTurn();
    expect(flushed).toEqual(["a", "a", "a"]);
  });

  it("a stream that is added while it is flushed comes behind the others", () => {
    const { queue, stream, turn, flushed } = queueOf();
    let again = true;
    const a = stream("a", () => {
      if (again) queue.add(a);
      again = false;
    });
    queue.add(a);
    queue.add(stream("b"));
    turn();
    expect(flushed).toEqual(["a", "b", "a"]);
  });

  it("tells each stream what the clock shows, which it reads once for each", () => {
    let reads = 0;
    const turns: (() => void)[] = [];
    const queue = new PushQueue({
      ...{ defer: (work: () => void) => turns.push(work), soon: () => {} },
      ...{ clock: () => ++reads, sliceMs: 100 },
    });
    const told: number[] = [];
    for (let i = 0; i < 3; i++) queue.add({ flush: (clock) => void told.push(clock) });
    for (const work of turns.splice(0)) work();
    expect(told).toEqual([1, 2, 3]);
    expect(reads).toBe(4);
  });

  it("forgets a stream that is over", () => {
    const { queue, stream, turn, flushed } = queueOf();
    const a = stream("a");
    queue.add(a);
    queue.delete(a);
    turn();
    expect(flushed).toEqual([]);
  });
});
