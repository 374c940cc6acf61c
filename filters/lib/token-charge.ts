/**
 * What a call costs, in the unit of a limit.
 *
 *   unit              1 is
 *   tokens            a token, whatever its class
 *   promptTokens      a token that went in
 *   completionTokens  a token that was generated
 *   weightedTokens    1/1000 token: each class counts by its weight
 *   requests          a request
 *   money             1e-9 US dollar: each class has its price
 *
 * Pure arithmetic on i64 that saturates: a charge is never negative and never wraps. O(1), no allocation.
 */
import { addSaturating, multiplySaturating } from "./fixed-point";

export const enum LimitUnit {
  Tokens = 0,
  PromptTokens = 1,
  CompletionTokens = 2,
  WeightedTokens = 3,
  Requests = 4,
  Money = 5,
}

/** Units of a weighted token, and of a weight. */
export const WEIGHT_SCALE: i64 = 1_000;
/** Units of a dollar. */
export const MONEY_SCALE: i64 = 1_000_000_000;
/** Units of a price, which is in dollars per 1e6 tokens. So a token costs 1e-12 dollar times its price: */
export const PRICE_SCALE: i64 = 1_000_000;
/** as many of them are a unit of money. */
const PRICES_PER_UNIT: i64 = 1_000;

/** Tokens of one call by class. Each token is in one class only. */
@final
export class TokenCounts {
  /** Of the prompt: neither read from the provider's cache nor written to it. */
  input: i64 = 0;
  cachedInput: i64 = 0;
  cacheWrite: i64 = 0;
  /** Of the answer: no thoughts. */
  output: i64 = 0;
  reasoning: i64 = 0;

  /**
   * From totals and the parts they include, as `UsageReader.inputTotal` and `.outputTotal` give them for every API. Parts that are unknown (negative)
   * are none; parts beyond the total are cut to it, the cache's reads first. Totals that are negative are none.
   */
  set(inputTotal: i64, cached: i64, cacheWrite: i64, outputTotal: i64, reasoning: i64): TokenCounts {
    const prompt = max<i64>(inputTotal, 0);
    this.cachedInput = min(max<i64>(cached, 0), prompt);
    this.cacheWrite = min(max<i64>(cacheWrite, 0), prompt - this.cachedInput);
    this.input = prompt - this.cachedInput - this.cacheWrite;
    const answer = max<i64>(outputTotal, 0);
    this.reasoning = min(max<i64>(reasoning, 0), answer);
    this.output = answer - this.reasoning;
    return this;
  }

  get prompt(): i64 {
    return addSaturating(addSaturating(this.input, this.cachedInput), this.cacheWrite);
  }

  get completion(): i64 {
    return addSaturating(this.output, this.reasoning);
  }
}

/** What a token of each class counts: weights in 1/1000, or prices in 1e-6 dollar per 1e6 tokens. 0 to 10^12. */
@final
export class TokenRates {
  constructor(
    public input: i64 = WEIGHT_SCALE,
    public cachedInput: i64 = WEIGHT_SCALE,
    public cacheWrite: i64 = WEIGHT_SCALE,
    public output: i64 = WEIGHT_SCALE,
    public reasoning: i64 = WEIGHT_SCALE,
  ) {}

  /** Raises each class to that of `other` where it is the higher one. */
  raiseTo(other: TokenRates): void {
    this.input = max(this.input, other.input);
    this.cachedInput = max(this.cachedInput, other.cachedInput);
    this.cacheWrite = max(this.cacheWrite, other.cacheWrite);
    this.output = max(this.output, other.output);
    this.reasoning = max(this.reasoning, other.reasoning);
  }

  /** What a token of the prompt counts at most, and one of the answer: nobody knows before how much of a prompt is cached. */
  get dearestInput(): i64 {
    return max(max(this.input, this.cachedInput), this.cacheWrite);
  }

  get dearestOutput(): i64 {
    return max(this.output, this.reasoning);
  }
}

/** What the call with these counts costs. `rates` are weights for `WeightedTokens`, prices for `Money`, and not looked at otherwise. */
export function charge(unit: LimitUnit, counts: TokenCounts, rates: TokenRates): i64 {
  if (unit < LimitUnit.WeightedTokens || unit == LimitUnit.Requests) return plain(unit, counts.prompt, counts.completion);
  const scale = unit == LimitUnit.Money ? PRICES_PER_UNIT : 1;
  whole = 0;
  rest = 0;
  add(counts.input, rates.input, scale);
  add(counts.cachedInput, rates.cachedInput, scale);
  add(counts.cacheWrite, rates.cacheWrite, scale);
  add(counts.output, rates.output, scale);
  add(counts.reasoning, rates.reasoning, scale);
  return sum(scale);
}

/**
 * The same before the answer, of as many tokens as are expected: at least what `charge` gives for any call of so many tokens, because every token
 * counts as one of the dearest class of its side.
 */
export function chargeAtMost(unit: LimitUnit, prompt: i64, completion: i64, rates: TokenRates): i64 {
  const tokensIn = max<i64>(prompt, 0);
  const tokensOut = max<i64>(completion, 0);
  if (unit < LimitUnit.WeightedTokens || unit == LimitUnit.Requests) return plain(unit, tokensIn, tokensOut);
  const scale = unit == LimitUnit.Money ? PRICES_PER_UNIT : 1;
  whole = 0;
  rest = 0;
  add(tokensIn, rates.dearestInput, scale);
  add(tokensOut, rates.dearestOutput, scale);
  return sum(scale);
}

function plain(unit: LimitUnit, prompt: i64, completion: i64): i64 {
  if (unit == LimitUnit.Requests) return 1;
  if (unit == LimitUnit.PromptTokens) return prompt;
  return unit == LimitUnit.CompletionTokens ? completion : addSaturating(prompt, completion);
}

/** Sum of tokens times rates, in whole units and in `scale`ths of one. Kept apart, so that dividing comes before the whole can saturate. */
let whole: i64 = 0;
let rest: i64 = 0;

function add(tokens: i64, rate: i64, scale: i64): void {
  whole = addSaturating(whole, multiplySaturating(tokens / scale, rate));
  rest += (tokens % scale) * rate;
}

/** Rounded up: what costs something costs at least one unit. */
function sum(scale: i64): i64 {
  return addSaturating(whole, (rest + scale - 1) / scale);
}
