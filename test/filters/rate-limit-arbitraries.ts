/** Random rules and random lives of calls for the property test of the limiter. */
import fc from "fast-check";
import type { Usage } from "./rate-limit-forecast.ts";
import type { LimitSpec } from "./rate-limit-meter.ts";
import type { RuleSpec } from "./rate-limit-reference.ts";

export const WORKERS = 4;

const limit: fc.Arbitrary<LimitSpec> = fc
  .record({
    unit: fc.constantFrom("tokens", "tokens", "promptTokens", "completionTokens", "weightedTokens", "requests"),
    amount: fc.constantFrom(1, 40, 300, 1_000, 4_000, 20_000),
    per: fc.constantFrom("second", "minute", "minute", "hour", "day", "month"),
    rolling: fc.boolean(),
    timeZone: fc.constantFrom("+00:00", "+05:00", "-11:00"),
  })
  .map(({ unit, amount, per, rolling, timeZone }) => ({
    unit,
    amount: unit === "requests" ? (amount % 7) + 1 : unit === "weightedTokens" ? amount * 1000 + 1 : amount,
    per,
    ...(rolling && per !== "month" ? { rolling } : per === "day" || per === "month" ? { timeZone } : {}),
  }));

const weight = fc.constantFrom(0, 0, 500, 1_000, 1_001, 4_000);
export const rules: fc.Arbitrary<RuleSpec[]> = fc.array(
  fc.record({
    name: fc.constant(""),
    key: fc.constantFrom<RuleSpec["key"]>([], ["team"], ["team"], ["team", "model"]),
    missingKey: fc.constantFrom("shared", "skip", "reject"),
    model: fc.constantFrom(undefined, undefined, "m1"),
    limits: fc.array(limit, { minLength: 1, maxLength: 3 }),
    weights: fc.record({
      input: fc.constant(1_000),
      cached: weight,
      cacheWrite: weight,
      output: weight,
      reasoning: weight,
    }),
    shadow: fc.constantFrom(false, false, false, true),
  }),
  { minLength: 1, maxLength: 3 },
);

const usage: fc.Arbitrary<Usage> = fc
  .tuple(fc.constantFrom(0, 3, 20, 150, 2_000), fc.constantFrom(0, 7, 8, 60, 900), fc.nat(4), fc.nat(4), fc.nat(4))
  .map(([input, output, a, b, c]) => {
    const cached = Math.floor((input * a) / 4);
    const cacheWrite = Math.floor(((input - cached) * b) / 4);
    return { input, output, cached, cacheWrite, reasoning: Math.floor((output * c) / 4) };
  });
const end = fc.record({
  kind: fc.constantFrom(
    "usage",
    "usage",
    "usage",
    "silent",
    "abort",
    "abort",
    "early",
    "error",
    "unreached",
    "timeout",
  ),
  usage,
  pieces: fc.nat(6),
  which: fc.nat(20),
});
const ask = fc.record({
  team: fc.constantFrom("a", "a", "a", "b", undefined),
  model: fc.constantFrom("m1", "m2"),
  promptBytes: fc.constantFrom(0, 1, 63, 64, 130, 1_000),
  declared: fc.constantFrom(undefined, 0, 1, 30, 30, 200, 999, 100_000),
  stream: fc.boolean(),
});
export type Act = { ask: Asking } | { end: Ended };
export type Asking = typeof ask extends fc.Arbitrary<infer T> ? T : never;
export type Ended = typeof end extends fc.Arbitrary<infer T> ? T : never;
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 3, arbitrary: ask.map((one) => ({ ask: one })) },
  { weight: 2, arbitrary: end.map((one) => ({ end: one })) },
);

const SPANS = [1, 450, 999, 3_750, 20_000, 60_000, 225_000, 900_000, 1_800_000, 3_600_000, 5_400_000, 86_400_000];
export const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      worker: fc.nat(WORKERS - 1),
      act,
      between: fc.option(fc.record({ at: fc.constantFrom(0, 1, 1, 1, 2, 3, 5), act }), { freq: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ forward: fc.constantFrom(...SPANS, 31 * 86_400_000) }) },
  { weight: 1, arbitrary: fc.record({ back: fc.constantFrom(...SPANS) }) },
  {
    weight: 1,
    arbitrary: fc.record({ amounts: fc.array(fc.constantFrom(0.5, 1, 3), { minLength: 9, maxLength: 9 }) }),
  },
);
