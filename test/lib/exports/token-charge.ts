/** Exports of filters/lib/token-charge and filters/lib/fixed-point for their tests on Node. */
import "../../../filters/sdk/abort";
import { addSaturating, fixedPoint, multiplySaturating } from "../../../filters/lib/fixed-point";
import { charge, chargeAtMost, TokenCounts, TokenRates } from "../../../filters/lib/token-charge";

const counts = new TokenCounts();
const rates = new TokenRates();
const other = new TokenRates();

export function units(value: f64, scale: i64): i64 {
  return fixedPoint(value, scale);
}

/** The same of a text, as configurations are read. `at`: UTF-8. */
export function textUnits(length: i32, scale: i64): i64 {
  return fixedPoint(parseFloat(String.UTF8.decodeUnsafe(text, length)), scale);
}

const text: usize = memory.data(64);

export function textAt(): usize {
  return text;
}

export function sum(a: i64, b: i64): i64 {
  return addSaturating(a, b);
}

export function product(a: i64, b: i64): i64 {
  return multiplySaturating(a, b);
}

export function setCounts(inputTotal: i64, cached: i64, cacheWrite: i64, outputTotal: i64, reasoning: i64): void {
  counts.set(inputTotal, cached, cacheWrite, outputTotal, reasoning);
}

export function count(index: i32): i64 {
  if (index == 0) return counts.input;
  if (index == 1) return counts.cachedInput;
  if (index == 2) return counts.cacheWrite;
  return index == 3 ? counts.output : counts.reasoning;
}

export function setRates(input: i64, cachedInput: i64, cacheWrite: i64, output: i64, reasoning: i64): void {
  fill(rates, input, cachedInput, cacheWrite, output, reasoning);
}

export function raiseRates(input: i64, cachedInput: i64, cacheWrite: i64, output: i64, reasoning: i64): void {
  fill(other, input, cachedInput, cacheWrite, output, reasoning);
  rates.raiseTo(other);
}

function fill(into: TokenRates, input: i64, cachedInput: i64, cacheWrite: i64, output: i64, reasoning: i64): void {
  into.input = input;
  into.cachedInput = cachedInput;
  into.cacheWrite = cacheWrite;
  into.output = output;
  into.reasoning = reasoning;
}

export function cost(unit: i32): i64 {
  return charge(unit, counts, rates);
}

export function costAtMost(unit: i32, prompt: i64, completion: i64): i64 {
  return chargeAtMost(unit, prompt, completion, rates);
}
