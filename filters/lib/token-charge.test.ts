import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** Against the same sums in BigInt, which neither round nor wrap. */

type Five = readonly [bigint, bigint, bigint, bigint, bigint];

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  units(value: number, scale: bigint): bigint;
  textUnits(length: number, scale: bigint): bigint;
  textAt(): number;
  sum(a: bigint, b: bigint): bigint;
  product(a: bigint, b: bigint): bigint;
  setCounts(...totals: Five): void;
  count(index: number): bigint;
  setRates(...rates: Five): void;
  raiseRates(...rates: Five): void;
  cost(unit: number): bigint;
  costAtMost(unit: number, prompt: bigint, completion: bigint): bigint;
}

const module = new WebAssembly.Module(
  readFileSync(new URL("../../build/test-wasm/lib-token-charge.wasm", import.meta.url)),
);
const wasm = new WebAssembly.Instance(module, { env: { proxy_log: () => 0 } }).exports as unknown as Exports;
wasm._initialize();

const units = ["tokens", "promptTokens", "completionTokens", "weightedTokens", "requests", "money"] as const;
const MAX = 2n ** 63n - 1n;
const MILLION = 10n ** 6n;
const least = (a: bigint, b: bigint) => (a < b ? a : b);
const most = (a: bigint, b: bigint) => (a > b ? a : b);

/** [input, cachedInput, cacheWrite, output, reasoning] of totals. */
function classes([inputTotal, cached, cacheWrite, outputTotal, reasoning]: Five): Five {
  const prompt = most(inputTotal, 0n);
  const answer = most(outputTotal, 0n);
  const read = least(most(cached, 0n), prompt);
  const written = least(most(cacheWrite, 0n), prompt - read);
  const thoughts = least(most(reasoning, 0n), answer);
  return [prompt - read - written, read, written, answer - thoughts, thoughts];
}

function expectedCost(unit: (typeof units)[number], counts: Five, rates: Five): bigint {
  const [input, cached, written, output, thoughts] = counts;
  const [prompt, answer] = [input + cached + written, output + thoughts];
  const sum = counts.reduce((total, tokens, i) => total + tokens * (rates[i] ?? 0n), 0n);
  const exact = {
    tokens: prompt + answer,
    promptTokens: prompt,
    completionTokens: answer,
    weightedTokens: sum,
    requests: 1n,
    // 1e-12 dollars, rounded up to 1e-9.
    money: (sum + 999n) / 1000n,
  };
  return least(exact[unit], MAX);
}

const amount = fc.oneof(
  fc.bigInt(0n, 5000n),
  fc.bigInt(0n, 10n ** 13n),
  fc.bigInt(0n, MAX),
  fc.constantFrom(-1n, 0n, 1n, 999n, 1000n, 1001n, MAX, MAX - 1n, -MAX),
);
const rate = fc.oneof(fc.bigInt(0n, 10_000n), fc.bigInt(0n, 10n ** 12n), fc.constantFrom(0n, 1n, 1000n, 10n ** 12n));
const five = (each: fc.Arbitrary<bigint>) => fc.tuple(each, each, each, each, each);

describe("classes of tokens", () => {
  it("divide the totals, and nothing is counted twice or lost", () => {
    fc.assert(
      fc.property(five(amount), (totals) => {
        wasm.setCounts(...totals);
        expect([0, 1, 2, 3, 4].map((index) => wasm.count(index))).toEqual(classes(totals));
      }),
    );
  });

  it.each<[string, Five, Five]>([
    [
      "OpenAI: cached and thoughts are part of the totals",
      [1000n, 800n, -1n, 300n, 200n],
      [200n, 800n, 0n, 100n, 200n],
    ],
    ["Anthropic: reads and writes of the cache", [1000n, 700n, 200n, 50n, -1n], [100n, 700n, 200n, 50n, 0n]],
    ["parts beyond the total", [10n, 8n, 8n, 5n, 9n], [0n, 8n, 2n, 0n, 5n]],
    ["nothing known", [-1n, -1n, -1n, -1n, -1n], [0n, 0n, 0n, 0n, 0n]],
  ])("%s", (_what, totals, expected) => {
    wasm.setCounts(...totals);
    expect([0, 1, 2, 3, 4].map((index) => wasm.count(index))).toEqual(expected);
  });
});

describe("charge", () => {
  it.each(units.map((unit, index) => [unit, index] as const))(
    "of %s is exact, and stops at 2^63 - 1",
    (unit, index) => {
      fc.assert(
        fc.property(five(amount), five(rate), (totals, rates) => {
          wasm.setCounts(...totals);
          wasm.setRates(...rates);
          expect(wasm.cost(index)).toBe(expectedCost(unit, classes(totals), rates));
        }),
        { numRuns: 500 },
      );
    },
  );

  it("of money: a million tokens cost their price, one token never nothing", () => {
    wasm.setRates(2_500_000n, 1_250_000n, 3_125_000n, 10_000_000n, 10_000_000n);
    wasm.setCounts(MILLION, -1n, -1n, -1n, -1n);
    expect(wasm.cost(5)).toBe(2_500_000_000n);
    wasm.setCounts(1000n, 400n, 100n, 200n, 50n);
    // 500 x 2.5 + 400 x 1.25 + 100 x 3.125 + 200 x 10 millionths of a dollar.
    expect(wasm.cost(5)).toBe(4_062_500n);
    wasm.setRates(1n, 1n, 1n, 1n, 1n);
    wasm.setCounts(1n, -1n, -1n, -1n, -1n);
    expect(wasm.cost(5)).toBe(1n);
  });

  it.each(units.map((unit, index) => [unit, index] as const))(
    "is foreseen: %s cost at most the estimate",
    (_unit, index) => {
      fc.assert(
        fc.property(five(amount), five(rate), (totals, rates) => {
          wasm.setCounts(...totals);
          wasm.setRates(...rates);
          const estimate = wasm.costAtMost(index, totals[0], totals[3]);
          expect(estimate).toBeGreaterThanOrEqual(wasm.cost(index));
          const dearest = { in: rates.slice(0, 3).reduce(most), out: rates.slice(3).reduce(most) };
          const worst: Five = [most(totals[0], 0n), 0n, 0n, most(totals[3], 0n), 0n];
          expect(estimate).toBe(expectedCost(units[index] ?? "tokens", worst, [dearest.in, 0n, 0n, dearest.out, 0n]));
        }),
        { numRuns: 500 },
      );
    },
  );

  it("rates are raised class by class", () => {
    wasm.setRates(1n, 5n, 3n, 9n, 2n);
    wasm.raiseRates(4n, 2n, 3n, 1n, 8n);
    const raised = [4n, 5n, 3n, 9n, 8n];
    const single: Five[] = [
      [1n, 0n, 0n, 0n, 0n],
      [1n, 1n, 0n, 0n, 0n],
      [1n, 0n, 1n, 0n, 0n],
      [0n, 0n, 0n, 1n, 0n],
      [0n, 0n, 0n, 1n, 1n],
    ];
    expect(
      single.map((totals) => {
        wasm.setCounts(...totals);
        return wasm.cost(3);
      }),
    ).toEqual(raised);
  });
});

describe("arithmetic that saturates", () => {
  const positive = fc.oneof(
    fc.bigInt(0n, MAX),
    fc.bigInt(0n, 2n ** 32n),
    fc.constantFrom(0n, 1n, 2n, MAX, MAX / 2n, MAX - 1n),
  );
  it("is BigInt's, cut at 2^63 - 1", () => {
    fc.assert(
      fc.property(positive, positive, (a, b) => {
        expect(wasm.sum(a, b)).toBe(least(a + b, MAX));
        expect(wasm.product(a, b)).toBe(least(a * b, MAX));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("decimals", () => {
  const ofText = (value: string, decimals: number) =>
    wasm.textUnits(Buffer.from(wasm.memory.buffer, wasm.textAt(), 64).write(value), 10n ** BigInt(decimals));

  it.each([
    ["0.1", 9, 100_000_000n],
    ["0.000000001", 9, 1n],
    ["1e-9", 9, 1n],
    ["1000000", 9, 10n ** 15n],
    ["999999.999999999", 9, 10n ** 15n - 1n],
    ["0.3", 9, 300_000_000n],
    ["1.005", 3, 1005n],
    ["0.0005", 3, -1n],
    ["0.0000000001", 9, -1n],
    ["0.1234567891", 9, -1n],
    ["1e12", 0, 10n ** 12n],
    ["1.5", 0, -1n],
    ["-1", 0, -1n],
    ["-0.5", 3, -1n],
    ["0", 9, 0n],
    ["1e300", 9, -1n],
    ["9007199254740992", 0, -1n],
    ["9007199254740991", 0, 9007199254740991n],
  ])("%s with %d decimals is %d units", (value, decimals, expected) => {
    expect(ofText(value, decimals)).toBe(expected);
    expect(wasm.units(Number(value), 10n ** BigInt(decimals))).toBe(expected);
  });

  it("are not rounded: every number of units is read back from its decimal", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 15n), fc.constantFrom(0, 3, 6, 9), (whole, decimals) => {
        const digits = whole.toString().padStart(decimals + 1, "0");
        const split = digits.length - decimals;
        const value = decimals === 0 ? digits : `${digits.slice(0, split)}.${digits.slice(split)}`;
        expect(ofText(value, decimals)).toBe(whole);
        // As JSON.stringify writes it.
        expect(ofText(String(Number(value)), decimals)).toBe(whole);
      }),
      { numRuns: 3000 },
    );
  });

  it("with one digit too many are refused", () => {
    fc.assert(
      fc.property(
        fc.bigInt(0n, 10n ** 13n),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(3, 6, 9),
        (whole, digit, decimals) => {
          const digits = `${whole.toString().padStart(decimals + 1, "0")}${digit}`;
          const split = digits.length - decimals - 1;
          expect(ofText(`${digits.slice(0, split)}.${digits.slice(split)}`, decimals)).toBe(-1n);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%d is none", (value) => {
    expect(wasm.units(value, 1n)).toBe(-1n);
  });
});
