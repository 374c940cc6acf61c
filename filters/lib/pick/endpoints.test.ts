import { beforeEach, describe, expect, it } from "vitest";
import { Outcome, TestPool, wasm } from "../../../test/lib/pick-driver.ts";

/** What is known about endpoints, for how long, and what it does to them. */

beforeEach(() => wasm.reset());

describe("quarantine", () => {
  const pool = () => new TestPool({ policy: "least-request" }).fill([1, 1]);

  it("doubles from one second to a minute", () => {
    const { id } = pool();
    const times: number[] = [];
    let now = 0;
    for (let i = 0; i < 40; i++) {
      wasm.ask(now, 1n);
      wasm.askSubset(1);
      wasm.pick(id);
      wasm.sent(id, 1);
      wasm.done(id, 1, now, Outcome.Failure);
      times.push(wasm.quarantineEnd(id, 1) - now);
      now = wasm.quarantineEnd(id, 1);
    }
    expect(times.slice(0, 8)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    expect(times[39]).toBe(60_000);
  });

  it("counts failures of requests that ran at the same time as one", () => {
    const test = pool();
    for (let at = 0; at < 10; at++) test.send(at, { subset: [0] });
    for (let at = 0; at < 10; at++) wasm.done(test.id, at, 100 + at, Outcome.Failure);
    expect(wasm.quarantineEnd(test.id, 0)).toBe(1100);
    // Nor do those that went well before tell that it works now.
    test.send(20, { now: 3000, subset: [0] });
    wasm.done(test.id, 20, 3000, Outcome.Failure);
    expect(wasm.quarantineEnd(test.id, 0)).toBe(5000);
  });

  it("is not ended by an answer to an older request", () => {
    const test = pool();
    test.send(1, { subset: [0] });
    test.fail(0, 10);
    wasm.firstByte(test.id, 1, 20);
    wasm.done(test.id, 1, 20, Outcome.Success);
    expect(wasm.onProbation(test.id, 0)).toBe(1);
    expect(test.pick({ now: 500 })).toEqual([1]);
    expect(wasm.inflight(test.id, 0)).toBe(0);
    test.fail(0, 1010);
    expect(wasm.quarantineEnd(test.id, 0)).toBe(1010 + 2000);
  });

  it("lets the next request try when the first one gave no answer", () => {
    const test = pool();
    wasm.setHealthy(test.id, 1, false, 0);
    test.fail(0, 0);
    expect(test.send(1, { now: 1000 })).toBe(0);
    expect(wasm.listDesperate()).toBe(0);
    test.pick({ now: 1000 });
    expect(wasm.listDesperate()).toBe(1);
    wasm.done(test.id, 1, 1100, Outcome.Abandoned);
    test.pick({ now: 1100 });
    expect(wasm.listDesperate()).toBe(0);
    expect(wasm.onProbation(test.id, 0)).toBe(1);
  });

  it("goes on while the request that tries is not over, whoever else comes and goes", () => {
    const test = pool();
    wasm.setHealthy(test.id, 1, false, 0);
    test.fail(0, 0);
    expect(test.send(1, { now: 500 })).toBe(0);
    expect(test.send(2, { now: 600 })).toBe(0);
    wasm.done(test.id, 2, 700, Outcome.Abandoned);
    test.pick({ now: 1500 });
    expect(wasm.listDesperate()).toBe(1);
    wasm.done(test.id, 1, 1600, Outcome.Abandoned);
    test.pick({ now: 1700 });
    expect(wasm.listDesperate()).toBe(0);
  });

  it("is not tried a second time because an older try is over", () => {
    const test = pool();
    wasm.setHealthy(test.id, 1, false, 0);
    test.fail(0, 0);
    test.send(1, { now: 1000 });
    test.send(2, { now: 1000 });
    wasm.done(test.id, 2, 1100, Outcome.Failure);
    expect(wasm.quarantineEnd(test.id, 0)).toBe(3100);
    expect(test.send(3, { now: 3100 })).toBe(0);
    wasm.done(test.id, 1, 3200, Outcome.Abandoned);
    test.pick({ now: 3300 });
    expect(wasm.listDesperate()).toBe(1);
  });

  it("grows on when answers begin and then break, and is short again after a whole one", () => {
    const test = pool();
    test.fail(0, 0);
    test.send(1, { now: 1000, subset: [0] });
    wasm.firstByte(test.id, 1, 1010);
    expect(wasm.onProbation(test.id, 0)).toBe(0);
    wasm.done(test.id, 1, 1020, Outcome.Failure);
    expect(wasm.quarantineEnd(test.id, 0)).toBe(1020 + 2000);
    test.send(1, { now: 4000, subset: [0] });
    wasm.done(test.id, 1, 4010, Outcome.Success);
    test.fail(0, 5000);
    expect(wasm.quarantineEnd(test.id, 0)).toBe(6000);
  });

  it("is overlooked when there is nobody else, and over as soon as an answer comes", () => {
    const test = pool();
    test.fail(0, 0);
    test.fail(1, 0);
    expect(test.pick({ now: 10 })).toHaveLength(2);
    expect(wasm.listDesperate()).toBe(1);
    const slot = test.send(1, { now: 10 });
    wasm.firstByte(test.id, 1, 20);
    expect(test.pick({ now: 20 })).toEqual([slot]);
    expect(wasm.listDesperate()).toBe(0);
  });

  it("is learned from other workers, and each tries for itself", () => {
    const test = pool();
    wasm.learnQuarantine(test.id, 0, 5000, 3);
    expect(test.pick({ now: 4999 })).toEqual([1]);
    expect(test.send(1, { now: 5000, subset: [0] })).toBe(0);
    wasm.firstByte(test.id, 1, 5100);
    wasm.learnQuarantine(test.id, 0, 5000, 3);
    expect(test.pick({ now: 5200 })).toHaveLength(2);
    test.fail(0, 6000);
    expect(wasm.quarantineEnd(test.id, 0)).toBe(6000 + 8000);
    expect(wasm.failures(test.id, 0)).toBe(4);
    // A shorter one of somebody else does not shorten it, and no number makes it endless.
    wasm.learnQuarantine(test.id, 0, 10_000, 1);
    expect([wasm.quarantineEnd(test.id, 0), wasm.failures(test.id, 0)]).toEqual([14_000, 4]);
    wasm.learnQuarantine(test.id, 0, 20_000, 2 ** 31 - 1);
    test.fail(0, 20_000);
    expect(wasm.quarantineEnd(test.id, 0)).toBe(80_000);
  });

  it("learned from others tells nothing about requests that were sent before", () => {
    const test = pool();
    test.send(1, { subset: [0] });
    wasm.learnQuarantine(test.id, 0, 3000, 1);
    wasm.done(test.id, 1, 100, Outcome.Failure);
    expect([wasm.quarantineEnd(test.id, 0), wasm.failures(test.id, 0)]).toEqual([3000, 1]);
  });

  it("keeps those on probation out of the alternates", () => {
    const test = new TestPool({ policy: "round-robin" }).fill([1, 1, 1, 1]);
    test.fail(1, 0);
    expect(test.pick({ now: 2000, subset: [0, 1, 2] })).toEqual([2, 0]);
    expect(test.pick({ now: 2000, subset: [0, 1, 2] })).toEqual([0, 2]);
    expect(test.pick({ now: 2000, subset: [0, 1, 2] })).toEqual([1, 2, 0]);
  });

  it("is followed by a slow start", () => {
    const test = new TestPool({ policy: "random", slowStartMs: 1000 }).fill([1, 1]);
    test.fail(0, 5000);
    test.send(1, { now: 7000, subset: [0] });
    wasm.firstByte(test.id, 1, 8000);
    expect(wasm.power(test.id, 0, 8500)).toBe(0.5);
    expect(wasm.power(test.id, 1, 8500)).toBe(1);
  });
});

describe("slow start", () => {
  it("goes from a tenth to the whole weight", () => {
    const pool = new TestPool({ policy: "random", slowStartMs: 1000 });
    const slot = pool.add(1, { weight: 10, now: 5000 });
    const powers = [5000, 5050, 5100, 5500, 5999, 6000, 9000].map((now) => wasm.power(pool.id, slot, now));
    expect(powers).toEqual([1, 1, 1, 5, 9.99, 10, 10]);
    wasm.setHealthy(pool.id, slot, true, 9000);
    expect(wasm.power(pool.id, slot, 9000)).toBe(10);
    wasm.setHealthy(pool.id, slot, false, 9000);
    wasm.setHealthy(pool.id, slot, true, 9500);
    expect(wasm.power(pool.id, slot, 9700)).toBe(2);
  });
});

describe("response times", () => {
  it("rise at once, fall slowly, and fade", () => {
    const pool = new TestPool({ policy: "least-response-time" }).fill([1]);
    const answer = (sent: number, first: number) => {
      pool.send(1, { now: sent });
      wasm.firstByte(pool.id, 1, first);
      wasm.done(pool.id, 1, first + 5000, Outcome.Success);
      return wasm.responseTime(pool.id, 0, first);
    };
    expect(wasm.responseTime(pool.id, 0, 0)).toBe(1000);
    expect(answer(0, 200)).toBe(200);
    expect(answer(1000, 1500)).toBe(500);
    expect(answer(11_400, 11_500)).toBeCloseTo(500 * Math.exp(-1) + 100 * (1 - Math.exp(-1)), 9);
    const then = wasm.responseTime(pool.id, 0, 11_500);
    expect(wasm.responseTime(pool.id, 0, 21_500)).toBeCloseTo(then * Math.exp(-1), 9);
    expect(wasm.responseTime(pool.id, 0, 11_000)).toBe(then);
  });

  it("count a failure as slow, however fast it came", () => {
    const pool = new TestPool({ policy: "least-response-time" }).fill([1]);
    pool.fail(0, 100);
    expect(wasm.responseTime(pool.id, 0, 100)).toBe(5000);
    pool.send(1, { now: 2000 });
    wasm.done(pool.id, 1, 12_000, Outcome.Failure);
    expect(wasm.responseTime(pool.id, 0, 12_000)).toBe(10_000);
  });

  it("are known of answers that nobody announced, and not of clients that went away", () => {
    const pool = new TestPool({ policy: "least-response-time" }).fill([1]);
    pool.send(1, { now: 0 });
    wasm.done(pool.id, 1, 100, Outcome.Abandoned);
    expect(wasm.responseTime(pool.id, 0, 100)).toBe(1000);
    pool.send(1, { now: 200 });
    wasm.done(pool.id, 1, 500, Outcome.Success);
    expect(wasm.responseTime(pool.id, 0, 500)).toBe(300);
  });

  it("do not keep away from endpoints without any: they count as the fastest, so each gets its turn", () => {
    const pool = new TestPool({ policy: "least-response-time" }).fill([1, 1, 1, 1]);
    const used = new Set<number>();
    for (let at = 0; at < 60; at++) {
      used.add(pool.send(at, { now: at * 10 }));
      wasm.done(pool.id, at, at * 10 + 5, Outcome.Success);
    }
    expect([...used].sort()).toEqual([0, 1, 2, 3]);
  });

  it("decide together with what is in flight", () => {
    const pool = new TestPool({ policy: "least-response-time" }).fill([1, 1, 1]);
    for (const [slot, ms] of [100, 250, 5000].entries()) {
      pool.send(slot, { now: 0, subset: [slot] });
      wasm.done(pool.id, slot, ms, Outcome.Success);
    }
    expect(pool.pick({ now: 5000 })[0]).toBe(0);
    wasm.setOthers(pool.id, 0, 1, 0);
    expect(pool.pick({ now: 5000 })).toEqual([0, 1, 2]);
    wasm.setOthers(pool.id, 0, 2, 0);
    expect(pool.pick({ now: 5000 })).toEqual([1, 0, 2]);
  });
});

describe("snapshots of engines", () => {
  const saturation = (pool: TestPool, now: number) => wasm.saturation(pool.id, now, 5, 800);

  it("say how full a pool is, as long as they are fresh", () => {
    const pool = new TestPool({ policy: "random" });
    expect(saturation(pool, 0)).toBe(1);
    pool.fill([1, 1]);
    expect(saturation(pool, 0)).toBe(1);
    wasm.setSnapshot(pool.id, 0, 100, 1, 0, 400, 0);
    expect(saturation(pool, 100)).toBe(0.75);
    wasm.setSnapshot(pool.id, 1, 100, 10, 0, 400, 0);
    expect(saturation(pool, 1100)).toBe(1.25);
    expect(saturation(pool, 1101)).toBe(1);
    wasm.setSnapshot(pool.id, 0, 1101, 0, 0, 0, 0);
    expect(saturation(pool, 1101)).toBe(0.5);
  });

  it("show what other gateways send, and only beyond what we had there ourselves", () => {
    const pool = new TestPool({ policy: "prefix-affinity", requestTokens: 100 }).fill([1, 1]);
    const lighter = (now: number) => pool.pick({ now, tokens: 0 })[0];
    for (let at = 0; at < 6; at++) pool.send(at, { subset: [1] });
    expect(lighter(0)).toBe(0);
    wasm.setSnapshot(pool.id, 0, 0, 3, 4, 0, 0);
    expect(lighter(0)).toBe(1);
    expect(lighter(1001)).toBe(0);
    // The six are over, and the engine was asked before: they are not counted twice.
    for (let at = 0; at < 6; at++) wasm.done(pool.id, at, 500, Outcome.Success);
    for (const at of [500, 999, 1000, 1500, 2000]) {
      wasm.setSnapshot(pool.id, 1, at, 0, 6, 0, 0);
      wasm.setSnapshot(pool.id, 0, at, 0, 1, 0, 0);
      expect(lighter(at)).toBe(1);
    }
    wasm.setSnapshot(pool.id, 1, 2001, 0, 6, 0, 0);
    expect(lighter(2001)).toBe(0);
  });

  it("are compared with what we sent to this endpoint, not to the one before it", () => {
    const pool = new TestPool({ policy: "prefix-affinity" }).fill([1, 1]);
    for (let at = 0; at < 10; at++) pool.send(at, { subset: [0] });
    wasm.remove(pool.id, 0);
    pool.add(3, { now: 100 });
    wasm.setSnapshot(pool.id, 0, 100, 0, 8, 0, 0);
    expect(pool.counts(20, () => ({ now: 100, tokens: 0 }), 2)).toEqual([0, 20]);
  });

  it("change nothing when other gateways are not counted", () => {
    const pool = new TestPool({ policy: "prefix-affinity", foreignLoad: false }).fill([1, 1]);
    wasm.setSnapshot(pool.id, 0, 0, 50, 50, 0, 0);
    wasm.setOthers(pool.id, 1, 1, 0);
    expect(pool.pick({ tokens: 0 })[0]).toBe(0);
  });
});

describe("models", () => {
  it("restrict an endpoint to those it serves, and are bounded", () => {
    const pool = new TestPool({ policy: "random" }).fill([1, 1]);
    for (let model = 1n; model <= 80n; model++) expect(wasm.addModel(pool.id, 0, model)).toBe(1);
    expect(wasm.addModel(pool.id, 0, 81n)).toBe(0);
    expect(pool.pick({ model: 81n })).toEqual([1]);
    expect(pool.pick({ model: 80n })).toHaveLength(2);
    expect(pool.pick({ model: 0n })).toHaveLength(2);
    wasm.clearModels(pool.id, 0);
    expect(pool.pick({ model: 81n })).toHaveLength(2);
  });
});
