/** Reads what tokens count: `weights` and `prices` of a rule. */
import { JsonNode } from "../../lib/json-document";
import { PRICE_SCALE, TokenRates, WEIGHT_SCALE } from "../../lib/token-charge";
import { ConfigReader } from "../config-reader";
import { Bytes } from "../../sdk";
import { readDecimal } from "./decimal-reader";
import { Price, PriceList } from "./price-list";

const MOST_WEIGHT: i64 = 1_000;
const MAX_PRICES = 256;
const MOST_PRICE: i64 = 1_000_000;

/** The classes of tokens, as `setRate` knows them. */
const CLASSES = ["input", "cachedInput", "cacheWrite", "output", "reasoning"];

export function readWeights(reader: ConfigReader, path: string, node: JsonNode): TokenRates {
  const weights = new TokenRates();
  if (!reader.isObject(path, node)) return weights;
  for (let i = 0; i < node.names.length; i++) {
    const name = node.names[i];
    const at = path + "." + name;
    if (!CLASSES.includes(name)) reader.unknown(at);
    else setRate(weights, name, readDecimal(reader, at, node.values[i], WEIGHT_SCALE, 0, MOST_WEIGHT * WEIGHT_SCALE));
  }
  if (isFree(weights)) reader.fail(path, "must have a weight above 0, or nothing is ever counted");
  return weights;
}

export function readPrices(reader: ConfigReader, path: string, node: JsonNode): PriceList {
  const prices = new PriceList();
  const entries = reader.list(path, node, 1, MAX_PRICES);
  for (let i = 0; i < entries.length; i++) {
    const at = path + "[" + i.toString() + "]";
    if (!reader.isObject(at, entries[i])) continue;
    if (!prices.add(readPrice(reader, at, entries[i]))) reader.fail(at + ".model", "stands twice in the list; keep one");
  }
  if (entries.length > 0 && isFree(prices.dearest)) reader.fail(path, "must have a price above 0, or nothing is ever counted");
  return prices;
}

function readPrice(reader: ConfigReader, path: string, node: JsonNode): Price {
  const rates = new TokenRates();
  for (let i = 0; i < node.names.length; i++) {
    const name = node.names[i];
    const at = path + "." + name;
    if (CLASSES.includes(name)) setRate(rates, name, readDecimal(reader, at, node.values[i], PRICE_SCALE, 0, MOST_PRICE * PRICE_SCALE));
    else if (name != "model") reader.unknown(at);
  }
  if (node.get("cachedInput") === null) rates.cachedInput = rates.input;
  if (node.get("cacheWrite") === null) rates.cacheWrite = rates.input;
  if (node.get("reasoning") === null) rates.reasoning = rates.output;
  if (node.get("input") === null) reader.fail(path + ".input", "missing");
  if (node.get("output") === null) reader.fail(path + ".output", "missing");
  const model = node.get("model");
  if (model === null) {
    reader.fail(path + ".model", "missing");
    return new Price(new Bytes(), false, rates);
  }
  const pattern = reader.plain(path + ".model", model);
  const prefix = pattern.len > 0 && pattern.at(pattern.len - 1) == 0x2a;
  if (prefix) pattern.len--;
  if (pattern.indexOf(0x2a) >= 0) reader.fail(path + ".model", "'*' may stand only at the end");
  return new Price(pattern, prefix, rates);
}

function setRate(rates: TokenRates, name: string, value: i64): void {
  if (name == "input") rates.input = value;
  else if (name == "cachedInput") rates.cachedInput = value;
  else if (name == "cacheWrite") rates.cacheWrite = value;
  else if (name == "output") rates.output = value;
  else rates.reasoning = value;
}

function isFree(rates: TokenRates): bool {
  return rates.dearestInput == 0 && rates.dearestOutput == 0;
}
