import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";

/** Against a reference that keeps every number, and with values that no honest upstream reports. */

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  nameAt(): number;
  open(tokensPerByte: number): void;
  collect(): void;
  estimate(length: number, promptBytes: number, declared: bigint): void;
  prompt(): number;
  completion(): bigint;
  learn(length: number, promptBytes: number, promptTokens: bigint, completionTokens: bigint): void;
  heapTop(): number;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-token-learner.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

const MAX_I64 = 2n ** 63n - 1n;

function put(name: string): number {
  return Buffer.from(wasm.memory.buffer, wasm.nameAt(), 512).write(name);
}

function learn(name: string, bytes: number, promptTokens: number | bigint, completionTokens: number | bigint): void {
  wasm.learn(put(name), bytes, BigInt(promptTokens), BigInt(completionTokens));
}

function estimate(name: string, bytes: number, declared: number | bigint = -1): [prompt: number, completion: number] {
  wasm.estimate(put(name), bytes, BigInt(declared));
  return [wasm.prompt(), Number(wasm.completion())];
}

beforeEach(() => {
  wasm.open(0.25);
  wasm.collect();
});

/** Upper ends of the buckets, written down from their definition: quarters of octaves from 16 on. */
const ends = [15, ...Array.from({ length: 63 }, (_, i) => 2 ** Math.floor(i / 4) * (20 + (i % 4) * 4) - 1)];

/** The same algorithm on plain numbers. */
class Reference {
  readonly #models = new Map<string, { ratio: number; counts: number[]; samples: number }>();
  readonly #start: number;

  constructor(tokensPerByte: number) {
    this.#start = clamp(tokensPerByte);
  }

  learn(name: string, bytes: number, promptTokens: number, completionTokens: number): void {
    const prompts = promptTokens > 0 && bytes >= 64;
    if (!prompts && completionTokens < 0) return;
    const key = this.#key(name);
    const model = this.#models.get(key) ?? { ratio: this.#start, counts: ends.map(() => 0), samples: 0 };
    this.#models.set(key, model);
    if (prompts) model.ratio += (clamp(promptTokens / bytes) - model.ratio) / 16;
    if (completionTokens < 0) return;
    const found = ends.findIndex((end) => completionTokens <= end);
    const bucket = found < 0 ? 63 : found;
    model.counts[bucket] = (model.counts[bucket] ?? 0) + 1;
    if (++model.samples % 256 === 0) model.counts = model.counts.map((count) => Math.floor(count / 2));
  }

  estimate(name: string, bytes: number): [prompt: number, completion: number] {
    const model = this.#models.get(this.#key(name));
    const prompt = Math.ceil(bytes * (model?.ratio ?? this.#start));
    if (model === undefined || model.samples < 16) return [prompt, 1024];
    const answers = model.counts.flatMap((count, bucket) => Array<number>(count).fill(ends[bucket] ?? 0));
    return [prompt, answers[Math.ceil(answers.length * 0.9) - 1] ?? 1024];
  }

  #key(name: string): string {
    const own = [...this.#models.keys()].filter((key) => key !== "").length;
    const fits = name !== "" && Buffer.byteLength(name) <= 256;
    return fits && (this.#models.has(name) || own < 64) ? name : "";
  }
}

const clamp = (ratio: number) => Math.min(Math.max(ratio, 0.02), 4);

describe("a model that nobody has asked", () => {
  it("starts at the configured ratio and 1024 tokens", () => {
    expect(estimate("m", 1000)).toEqual([250, 1024]);
    expect(estimate("m", 0)).toEqual([0, 1024]);
  });

  it.each([
    [1e-9, 20],
    [0, 20],
    [Number.NaN, 20],
    [-1, 20],
    [9, 4000],
    [Number.POSITIVE_INFINITY, 4000],
  ])("with a start of %d has %d tokens in 1000 bytes", (start, tokens) => {
    wasm.open(start);
    expect(estimate("m", 1000)[0]).toBe(tokens);
  });

  it("takes the declared output for the answer, whatever was learned", () => {
    for (let i = 0; i < 20; i++) learn("m", 100, 25, 500);
    expect(estimate("m", 100, 7)[1]).toBe(7);
    expect(estimate("m", 100, 0)[1]).toBe(0);
    wasm.estimate(put("m"), 100, MAX_I64);
    expect(wasm.completion()).toBe(MAX_I64);
  });
});

describe("convergence", () => {
  it("reaches any steady ratio, from any start, to 1 % within 100 answers", () => {
    const ratio = fc.double({ min: 0.03, max: 3.5, noNaN: true });
    fc.assert(
      fc.property(ratio, ratio, fc.integer({ min: 10_000, max: 1_000_000 }), (start, truth, bytes) => {
        wasm.open(start);
        const tokens = Math.round(bytes * truth);
        for (let i = 0; i < 100; i++) learn("m", bytes, tokens, -1);
        expect(Math.abs(estimate("m", bytes)[0] / tokens - 1)).toBeLessThan(0.01 + Math.abs(start / truth) * 0.0016);
      }),
      { numRuns: 50 },
    );
  });

  it("finds the 90th percentile: never below it, at most a quarter above", () => {
    const answers = fc.array(fc.integer({ min: 16, max: 900_000 }), { minLength: 16, maxLength: 255 });
    fc.assert(
      fc.property(answers, (lengths) => {
        wasm.open(0.25);
        for (const tokens of lengths) learn("m", 0, -1, tokens);
        const exact = lengths.sort((a, b) => a - b)[Math.ceil(lengths.length * 0.9) - 1] ?? 0;
        const [, completion] = estimate("m", 0);
        expect(completion).toBeGreaterThanOrEqual(exact);
        expect(completion).toBeLessThanOrEqual(exact * 1.25);
      }),
      { numRuns: 200 },
    );
  });

  it("forgets: 1,280 answers outweigh any number of older ones", () => {
    for (let i = 0; i < 5000; i++) learn("m", 0, -1, 100_000);
    for (let i = 0; i < 1280; i++) learn("m", 0, -1, 100);
    expect(estimate("m", 0)[1]).toBe(111);
  });

  it("says 1024 until 16 answers are known", () => {
    for (let i = 0; i < 15; i++) learn("m", 0, -1, 3);
    expect(estimate("m", 0)[1]).toBe(1024);
    learn("m", 0, -1, 3);
    expect(estimate("m", 0)[1]).toBe(15);
  });
});

describe("numbers that no honest upstream reports", () => {
  it("prompts of 0 tokens and short prompts change nothing", () => {
    for (let i = 0; i < 1000; i++) {
      learn("m", 1_000_000, 0, -1);
      learn("m", 63, 1_000_000, -1);
      learn("m", 0, 5, -1);
      learn("m", 100, -5, -5);
    }
    expect(estimate("m", 1000)).toEqual([250, 1024]);
  });

  it("one absurd sample moves the ratio no further than 1/16 of the way to its border", () => {
    learn("m", 64, MAX_I64, -1);
    expect(estimate("m", 1_000_000)[0]).toBe(Math.ceil((0.25 + (4 - 0.25) / 16) * 1_000_000));
    wasm.open(0.25);
    learn("n", 2 ** 32 - 1, 1, -1);
    expect(estimate("n", 1_000_000)[0]).toBe(Math.ceil((0.25 + (0.02 - 0.25) / 16) * 1_000_000));
  });

  it("the ratio stays in [0.02, 4] and the answers in [15, 917503] for ever", () => {
    for (let i = 0; i < 1000; i++) learn("m", 64, MAX_I64, MAX_I64);
    expect(estimate("m", 1_000_000)).toEqual([4_000_000, 917_503]);
    for (let i = 0; i < 3000; i++) learn("m", 1_000_000, 1, 0);
    const [prompt, completion] = estimate("m", 1_000_000);
    expect({ prompt: [20_000, 20_001].includes(prompt), completion }).toEqual({ prompt: true, completion: 15 });
    expect(estimate("m", 2 ** 32 - 1)[0]).toBeLessThanOrEqual(Math.ceil(2 ** 32 * 0.02 * (1 + 1e-12)));
  });

  it("buckets end where they say", () => {
    for (const end of [0, ...ends.slice(0, -1)]) {
      for (const tokens of [end, end + 1]) {
        wasm.open(0.25);
        for (let i = 0; i < 16; i++) learn("m", 0, -1, tokens);
        expect(estimate("m", 0)[1]).toBe(ends.find((each) => tokens <= each));
      }
    }
  });

  it("an answer of any length lies in its bucket", () => {
    fc.assert(
      fc.property(fc.oneof(fc.bigInt(0n, MAX_I64), fc.bigInt(0n, 2_000_000n)), (tokens) => {
        wasm.open(0.25);
        for (let i = 0; i < 16; i++) learn("m", 0, -1, tokens);
        expect(estimate("m", 0)[1]).toBe(ends.find((end) => tokens <= end) ?? 917_503);
      }),
    );
  });
});

describe("models", () => {
  it("keep to themselves, 64 of them; all others share one entry", () => {
    for (let i = 0; i < 64; i++) for (let n = 0; n < 16; n++) learn(`model-${i}`, 1000, 4000, 20_000);
    expect(estimate("late", 1000)).toEqual([250, 1024]);
    for (let n = 0; n < 200; n++) learn("late", 1000, 1000, 100);
    expect(estimate("later", 1000)[1]).toBe(111);
    expect(estimate("later", 1000)).toEqual(estimate("late", 1000));
    expect(estimate("model-63", 1000)[1]).toBe(20_479);
  });

  it("are not taken up by being asked for", () => {
    for (let i = 0; i < 1000; i++) estimate(`made-up-${i}`, 1000);
    for (let n = 0; n < 16; n++) learn("real", 1000, 1000, 100);
    for (let n = 0; n < 16; n++) learn("other", 1000, 1000, 5000);
    expect(estimate("real", 0)[1]).toBe(111);
  });

  it("of more than 256 bytes, or without a name, share the entry of the others", () => {
    for (let n = 0; n < 16; n++) learn("n".repeat(257), 1000, 1000, 100);
    expect(estimate("", 0)[1]).toBe(111);
    expect(estimate("x".repeat(300), 0)[1]).toBe(111);
    expect(estimate("n".repeat(256), 0)[1]).toBe(1024);
    for (let n = 0; n < 16; n++) learn("n".repeat(256), 1000, 1000, 5000);
    expect(estimate("n".repeat(256), 0)[1]).toBe(5119);
    expect(estimate(`${"n".repeat(255)}m`, 0)[1]).toBe(1024);
  });
});

it("does what the reference does", () => {
  const name = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("a", "b", "gpt-4o", "", "x".repeat(256), "x".repeat(257)) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 99 }).map((i) => `m${i}`) },
  );
  const tokens = fc.oneof(fc.integer({ min: -1, max: 3000 }), fc.integer({ min: -1, max: 2 ** 40 }));
  const sample = fc.tuple(
    name,
    fc.oneof(fc.nat(200), fc.nat(2 ** 31)),
    tokens,
    tokens,
    fc.integer({ min: 1, max: 300 }),
  );
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 4, noNaN: true }), fc.array(sample, { maxLength: 200 }), (start, all) => {
      wasm.open(start);
      const reference = new Reference(start);
      for (const [model, bytes, promptTokens, completionTokens, times] of all) {
        for (let i = 0; i < times; i++) {
          learn(model, bytes, promptTokens, completionTokens);
          reference.learn(model, bytes, promptTokens, completionTokens);
        }
        expect(estimate(model, 100_000)).toEqual(reference.estimate(model, 100_000));
      }
    }),
    { numRuns: 40 },
  );
});

it("allocates nothing, even for new models", () => {
  const top = wasm.heapTop();
  for (let i = 0; i < 100_000; i++) {
    const length = put(`model-${i % 500}`);
    wasm.estimate(length, 1000, -1n);
    wasm.learn(length, 1000, 300n, 50n);
  }
  expect(wasm.heapTop()).toBe(top);
});
