/** `weights` and `prices` of a rule of a TokenRateLimit: what a token counts. */
import { fail } from "../cursor.ts";
import type { ModelPrice, TokenRates } from "../rate-limit-model.ts";
import { distinct, extended, list, object, optional, type Reader, required, withDefault } from "../reader.ts";
import { decimal } from "./decimal.ts";
import { modelPattern } from "./llm-names.ts";

const weight = withDefault(decimal({ min: 0, max: 1_000, decimals: 3 }), 1);
const price = decimal({ min: 0, max: 1_000_000, decimals: 6 });

const allWeights = object<TokenRates>({
  input: weight,
  cachedInput: weight,
  cacheWrite: weight,
  output: weight,
  reasoning: weight,
});

export const weights: Reader<TokenRates> = (cursor) => {
  const value = allWeights(cursor);
  if (value === undefined || !isFree(value)) return value;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", "all weights are 0: nothing is ever counted", "Raise one of them.");
};

type RawPrice = Pick<ModelPrice, "model" | "input" | "output"> & {
  readonly [K in "cachedInput" | "cacheWrite" | "reasoning"]: number | undefined;
};

const rawPrice = object<RawPrice>({
  model: required(modelPattern),
  input: required(price),
  cachedInput: optional(price),
  cacheWrite: optional(price),
  output: required(price),
  reasoning: optional(price),
});

const modelPrice: Reader<ModelPrice> = (cursor) => {
  const raw = rawPrice(cursor);
  if (raw === undefined) return undefined;
  return extended(raw, {
    cachedInput: raw.cachedInput ?? raw.input,
    cacheWrite: raw.cacheWrite ?? raw.input,
    reasoning: raw.reasoning ?? raw.output,
  });
};

const allPrices = distinct(list(modelPrice, { min: 1, max: 256 }), "model", "model");

export const prices: Reader<readonly ModelPrice[]> = (cursor) => {
  const value = allPrices(cursor);
  if (value === undefined || !value.every(isFree)) return value;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", "all prices are 0: nothing is ever counted", "Raise one of them.");
};

function isFree({ input, cachedInput, cacheWrite, output, reasoning }: TokenRates): boolean {
  return input + cachedInput + cacheWrite + output + reasoning === 0;
}
