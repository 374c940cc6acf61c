import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ReplicaModel } from "../../envoy/replica/model.ts";
import type { ReplicaTiming } from "../../envoy/replica/timing.ts";
import { BlockPool } from "./block-pool.ts";
import { PagedReplica } from "./paged-replica.ts";

/** Times and sizes that are easy to add up by hand: 1 s per iteration, 10 ms per prompt token, 100 ms per decode. */
const timing: ReplicaTiming = {
  iterationMs: 1_000,
  prefillMsPerToken: 10,
  decodeMsPerSequence: 100,
  maxSequences: 4,
  maxIterationTokens: 8,
  blockTokens: 4,
  kvBlocks: 8,
  maxModelTokens: 1_000,
};

/** Blocks of a text that nobody else has, or that begins as another one does. */
const chain = (owner: number, tokens: number, shared: readonly number[] = []): number[] =>
  Array.from({ length: Math.floor(tokens / timing.blockTokens) }, (_, index) => shared[index] ?? owner * 1_000 + index);

const spec = (id: number, promptTokens: number, outputTokens: number, shared: readonly number[] = []) => ({
  id,
  promptTokens,
  outputTokens,
  blocks: chain(id, promptTokens + outputTokens, shared),
});

/** Runs until nothing is left; what was seen, in order. */
function runDry(replica: PagedReplica, limit = 10_000) {
  const seen: { id: number; index: number; last: boolean; cachedTokens: number; at: number }[] = [];
  let now = 0;
  for (let step = 0; step < limit; step++) {
    const iteration = replica.begin();
    if (iteration === undefined) return seen;
    now += iteration.durationMs;
    for (const token of replica.complete()) seen.push({ ...token, at: now });
  }
  throw new Error("the replica does not come to an end");
}

describe("PagedReplica", () => {
  it("takes prompts in chunks beside decodes, at the cost of the model", () => {
    const replica = new PagedReplica(timing);
    replica.submit(spec(1, 6, 3));
    expect(replica.begin()).toEqual({ durationMs: 1_060, prefillTokens: 6, decodeSequences: 0 });
    expect(replica.complete()).toEqual([{ id: 1, index: 0, last: false, cachedTokens: 0 }]);
    replica.submit(spec(2, 9, 1));
    expect(replica.begin()).toEqual({ durationMs: 1_170, prefillTokens: 7, decodeSequences: 1 });
    expect(replica.complete()).toEqual([]);
    expect(replica.begin()).toEqual({ durationMs: 1_120, prefillTokens: 2, decodeSequences: 1 });
    expect(replica.complete()).toEqual([
      { id: 1, index: 2, last: true, cachedTokens: 0 },
      { id: 2, index: 0, last: true, cachedTokens: 0 },
    ]);
    expect(replica.begin()).toBeUndefined();
    expect([replica.running, replica.waiting, replica.kvUsage]).toEqual([0, 0, 0]);
  });

  it("computes the last block again even if all is cached, and shares what others have", () => {
    const replica = new PagedReplica(timing);
    replica.submit(spec(1, 8, 1));
    runDry(replica);
    replica.submit({ ...spec(2, 8, 1), blocks: chain(1, 9) });
    expect(replica.begin()?.prefillTokens).toBe(4);
    expect(replica.complete()).toEqual([{ id: 2, index: 0, last: true, cachedTokens: 4 }]);
  });

  it("keeps answers: the next turn finds prompt and answer", () => {
    const replica = new PagedReplica(timing);
    replica.submit(spec(1, 6, 7));
    runDry(replica);
    // 12 of 13 tokens have been computed: the last one never was an input.
    expect(replica.matchedBlocks(chain(1, 16), 16)).toBe(3);
    replica.submit(spec(2, 6, 6));
    runDry(replica);
    expect(replica.matchedBlocks(chain(2, 16), 16)).toBe(2); // 11 of 12
  });

  it("lets two prompts share memory that would not hold both", () => {
    const replica = new PagedReplica({ ...timing, maxIterationTokens: 64 });
    const shared = chain(9, 20);
    replica.submit(spec(1, 22, 4, shared));
    replica.submit(spec(2, 22, 4, shared));
    replica.begin();
    expect(replica.running).toBe(2);
    expect(replica.pool.used).toBe(7); // 5 shared, one of its own each
  });

  it("makes the queue wait for memory, in order, though a later one would fit", () => {
    const replica = new PagedReplica({ ...timing, maxIterationTokens: 64 });
    replica.submit(spec(1, 20, 2));
    replica.submit(spec(2, 16, 1));
    replica.submit(spec(3, 4, 1));
    replica.begin();
    expect([replica.running, replica.waiting]).toEqual([1, 2]);
    replica.complete();
    expect(runDry(replica).map(({ id }) => id)).toEqual([1, 2, 3]);
  });

  it("preempts who came last when answers outgrow the memory, and computes it again", () => {
    const replica = new PagedReplica({ ...timing, maxIterationTokens: 64 });
    replica.submit(spec(1, 12, 13));
    replica.submit(spec(2, 12, 13));
    const seen = runDry(replica);
    expect(replica.preemptions).toBe(1);
    expect(seen.map(({ id, index }) => [id, index])).toEqual([
      [1, 0],
      [2, 0],
      [1, 12],
      [2, 12],
    ]);
    expect(replica.pool.used).toBe(0);
  });

  it("refuses what can never fit, and misuse", () => {
    const replica = new PagedReplica(timing);
    expect(() => replica.submit(spec(1, 30, 3))).toThrow("larger than the KV memory");
    replica.submit(spec(2, 4, 1));
    replica.begin();
    expect(() => replica.begin()).toThrow("complete()");
    expect(() => new PagedReplica({ ...timing, maxIterationTokens: 3 })).toThrow("a token for every sequence");
  });

  it("keeps its invariants whatever comes", () => {
    const request = fc.record({
      prompt: fc.integer({ min: 1, max: 20 }),
      output: fc.integer({ min: 1, max: 12 }),
      family: fc.integer({ min: 0, max: 2 }),
      common: fc.integer({ min: 0, max: 5 }),
      wait: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 25 }), (requests) => {
        const replica = new PagedReplica(timing);
        const firsts: number[] = [];
        const lasts = new Set<number>();
        const step = (): boolean => {
          const iteration = replica.begin();
          if (iteration === undefined) return false;
          expect(iteration.prefillTokens + iteration.decodeSequences).toBeLessThanOrEqual(timing.maxIterationTokens);
          expect(iteration.prefillTokens + iteration.decodeSequences).toBeGreaterThan(0);
          expect(replica.running).toBeLessThanOrEqual(timing.maxSequences);
          expect(replica.pool.used).toBeLessThanOrEqual(timing.kvBlocks);
          expect(replica.pool.cached).toBeLessThanOrEqual(timing.kvBlocks);
          for (const { id, index, last, cachedTokens } of replica.complete()) {
            const asked = requests[id];
            expect(cachedTokens).toBeLessThan(asked?.prompt ?? 0);
            if (index === 0) firsts.push(id);
            if (!last) continue;
            expect(index).toBe((asked?.output ?? 0) - 1);
            expect(lasts.has(id)).toBe(false);
            lasts.add(id);
          }
          return true;
        };
        for (const [id, { prompt, output, family, common, wait }] of requests.entries()) {
          replica.submit(spec(id, prompt, output, chain(100 + family, common * 4)));
          for (let i = 0; i < wait; i++) step();
        }
        for (let steps = 0; step(); steps++) expect(steps).toBeLessThan(20_000);
        // First come, first served: a first token never overtakes, whatever is preempted later.
        expect(firsts).toEqual(requests.map((_, id) => id));
        expect(lasts.size).toBe(requests.length);
        expect(replica.pool.used).toBe(0);
      }),
    );
  });
});

describe("PagedReplica and the model of envoy/replica", () => {
  it("take the same time as long as memory is no matter and nothing is shared", () => {
    const roomy = { ...timing, kvBlocks: 10_000, maxIterationTokens: 16 };
    const request = fc.record({
      prompt: fc.integer({ min: 1, max: 40 }),
      output: fc.integer({ min: 1, max: 12 }),
      wait: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), (requests) => {
        const [paged, reserving] = [new PagedReplica(roomy), new ReplicaModel(roomy)].map((replica) => {
          const seen: unknown[] = [];
          const step = (): boolean => {
            const iteration = replica.begin();
            if (iteration === undefined) return false;
            const tokens = replica.complete().filter(({ index, last }) => index === 0 || last);
            seen.push(
              iteration,
              [...tokens].sort((a, b) => a.id - b.id),
            );
            return true;
          };
          for (const [id, { prompt, output, wait }] of requests.entries()) {
            replica.submit(spec(id, prompt, output));
            for (let i = 0; i < wait; i++) step();
          }
          while (step());
          return seen;
        });
        expect(paged).toEqual(reserving);
      }),
    );
  });
});

describe("BlockPool", () => {
  it("takes what was freed first, the tail of a chain before its head", () => {
    const pool = new BlockPool(3);
    const blocks = [1, 2, 3].map((hash) => {
      const block = pool.take() as number;
      pool.fill(block, hash);
      return block;
    });
    pool.release(blocks);
    expect(pool.match([1, 2, 3])).toBe(3);
    pool.take();
    expect(pool.match([1, 2, 3])).toBe(2);
    pool.take();
    expect(pool.match([1, 2, 3])).toBe(1);
  });

  it("counts references", () => {
    const pool = new BlockPool(2);
    const block = pool.take() as number;
    pool.fill(block, 7);
    expect(pool.share(7)).toBe(block);
    pool.release([block]);
    expect(pool.available).toBe(1);
    pool.release([block]);
    expect(pool.available).toBe(2);
    expect(() => pool.release([block])).toThrow("more often");
    expect(() => pool.share(8)).toThrow("no block");
  });
});
