import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ReplicaModel, type SequenceSpec } from "./model.ts";
import type { ReplicaTiming } from "./timing.ts";

const timing: ReplicaTiming = {
  iterationMs: 10,
  prefillMsPerToken: 1,
  decodeMsPerSequence: 2,
  maxSequences: 2,
  maxIterationTokens: 100,
  blockTokens: 4,
  kvBlocks: 1000,
  maxModelTokens: 10_000,
};

const sequence = (id: number, promptTokens: number, outputTokens: number, blocks: number[] = []): SequenceSpec => ({
  id,
  promptTokens,
  outputTokens,
  blocks,
});

interface Seen {
  readonly at: number;
  readonly id: number;
  readonly index: number;
  readonly last: boolean;
  readonly cachedTokens: number;
}

/** Runs in virtual time until nothing is left. */
function drain(model: ReplicaModel): Seen[] {
  const seen: Seen[] = [];
  let at = 0;
  for (let iteration = model.begin(); iteration !== undefined; iteration = model.begin()) {
    at += iteration.durationMs;
    for (const token of model.complete()) seen.push({ at, ...token });
  }
  return seen;
}

describe("time", () => {
  test("first token after the prefill, then one token per iteration", () => {
    const model = new ReplicaModel(timing);
    model.submit(sequence(1, 50, 3));
    expect(drain(model).map(({ at, index, last }) => [at, index, last])).toEqual([
      [60, 0, false], // 10 + 50 * 1
      [72, 1, false], // 10 + 2
      [84, 2, true],
    ]);
  });

  test("a larger batch makes every token slower", () => {
    const model = new ReplicaModel(timing);
    model.submit(sequence(1, 1, 3));
    model.submit(sequence(2, 1, 3));
    const ends = drain(model).filter((token) => token.last);
    expect(ends.map(({ id, at }) => [id, at])).toEqual([
      [1, 12 + 14 + 14],
      [2, 12 + 14 + 14],
    ]);
  });

  test("a long prompt is computed in chunks and does not stop a running answer", () => {
    const model = new ReplicaModel(timing);
    model.submit(sequence(1, 1, 4));
    model.begin();
    model.complete();
    model.submit(sequence(2, 250, 1));
    // Sequence 1 decodes in each of the three chunks of sequence 2 (99 + 99 + 52 tokens).
    expect(drain(model).map(({ id, index }) => `${id}.${index}`)).toEqual(["1.1", "1.2", "1.3", "2.0"]);
  });
});

describe("slots", () => {
  test("requests beyond the slots wait in arrival order", () => {
    const model = new ReplicaModel(timing);
    for (const id of [1, 2, 3, 4]) model.submit(sequence(id, 1, id === 1 ? 5 : 2));
    model.begin();
    expect([model.running, model.waiting]).toEqual([2, 2]);
    model.complete();
    expect(drain(model).flatMap(({ id, last }) => (last ? [id] : []))).toEqual([2, 3, 1, 4]);
    expect([model.running, model.waiting]).toEqual([0, 0]);
  });

  test("cancel frees a slot, whether the sequence waits, runs, or is in the open iteration", () => {
    const model = new ReplicaModel(timing);
    for (const id of [1, 2, 3, 4]) model.submit(sequence(id, 1, 2));
    model.begin();
    expect(model.cancel(1)).toBe(true);
    expect(model.cancel(4)).toBe(true);
    expect(model.cancel(1)).toBe(false);
    expect(model.complete().map(({ id }) => id)).toEqual([2]);
    model.begin();
    expect([model.running, model.waiting]).toEqual([2, 0]);
    model.complete();
    drain(model);
    expect(model.kvUsage).toBe(0);
  });

  test("without room in the KV cache a request waits although a slot is free; a request larger than the cache runs alone", () => {
    const model = new ReplicaModel({ ...timing, kvBlocks: 10 });
    model.submit(sequence(1, 20, 4)); // 6 blocks
    model.submit(sequence(2, 20, 4)); // 6 more do not fit
    model.begin();
    expect([model.running, model.waiting]).toEqual([1, 1]);
    expect(model.kvUsage).toBeCloseTo(0.5);
    model.complete();
    model.submit(sequence(3, 90, 1));
    expect(drain(model).flatMap(({ id, last }) => (last ? [id] : []))).toEqual([1, 2, 3]);
    // All of it is free again: two that fit together run together.
    model.submit(sequence(4, 16, 4));
    model.submit(sequence(5, 16, 4));
    model.begin();
    expect(model.running).toBe(2);
  });

  test("an iteration must be completed before the next begins", () => {
    const model = new ReplicaModel(timing);
    model.submit(sequence(1, 1, 1));
    model.begin();
    expect(() => model.begin()).toThrow("complete()");
  });
});

describe("prefix cache", () => {
  test("a cached prefix is not computed again", () => {
    const model = new ReplicaModel(timing);
    model.submit(sequence(1, 40, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    expect(drain(model)[0]).toMatchObject({ at: 50, cachedTokens: 0 });
    model.submit(sequence(2, 40, 1, [1, 2, 3, 4, 5, 99, 7, 8, 9, 10]));
    expect(drain(model)[0]).toMatchObject({ at: 10 + 20, cachedTokens: 20 });
    expect(model.prefixTotals).toEqual({ queriedTokens: 80, hitTokens: 20 });
  });

  test("a prompt that is cached whole still computes its last token", () => {
    const model = new ReplicaModel(timing);
    for (const id of [1, 2]) {
      model.submit(sequence(id, 8, 1, [1, 2]));
      drain(model);
    }
    expect(model.prefixTotals.hitTokens).toBe(7);
  });
});

test("whatever is submitted and cancelled: every other sequence gets exactly its tokens, in order, within the limits", () => {
  const specs = fc.array(
    fc.record({
      promptTokens: fc.integer({ min: 1, max: 400 }),
      outputTokens: fc.integer({ min: 1, max: 12 }),
      blocks: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 8 }),
      cancel: fc.boolean(),
      after: fc.integer({ min: 0, max: 5 }),
    }),
    { maxLength: 24 },
  );
  fc.assert(
    fc.property(specs, fc.integer({ min: 1, max: 4 }), (list, maxSequences) => {
      const model = new ReplicaModel({ ...timing, maxSequences, kvBlocks: 40 });
      const tokens = new Map<number, number[]>();
      const step = (): boolean => {
        const iteration = model.begin();
        if (iteration === undefined) return false;
        expect(model.running).toBeLessThanOrEqual(maxSequences);
        expect(iteration.prefillTokens + iteration.decodeSequences).toBeLessThanOrEqual(timing.maxIterationTokens);
        for (const { id, index } of model.complete()) tokens.set(id, [...(tokens.get(id) ?? []), index]);
        return true;
      };
      list.forEach((spec, id) => {
        model.submit({ id, ...spec });
        for (let i = 0; i < spec.after; i++) step();
        if (spec.cancel) model.cancel(id);
      });
      while (step());
      list.forEach((spec, id) => {
        const wanted = Array.from({ length: spec.outputTokens }, (_, i) => i);
        if (!spec.cancel) expect(tokens.get(id)).toEqual(wanted);
        else expect(wanted.slice(0, tokens.get(id)?.length ?? 0)).toEqual(tokens.get(id) ?? []);
      });
      expect([model.running, model.waiting, model.kvUsage]).toEqual([0, 0, 0]);
    }),
  );
});
