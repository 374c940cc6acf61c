/** Reads `limits` of a rule. */
import { JsonNode, NodeKind } from "../lib/json-document";
import { LimitUnit, MONEY_SCALE, WEIGHT_SCALE } from "../lib/token-charge";
import { WindowPeriod } from "../lib/token-window";
import { ConfigReader } from "../pipeline/config-reader";
import { readDecimal } from "./decimal-reader";
import { Limit } from "./limit";
import { NO_OFFSET, offsetOf } from "./time-zone";

const MAX_LIMITS = 4;

/** By `LimitUnit`. */
const UNITS = ["tokens", "promptTokens", "completionTokens", "weightedTokens", "requests", "money"];
/** By `WindowPeriod`. */
const PERIODS = ["second", "minute", "hour", "day", "month"];

const MOST_TOKENS: i64 = 1_000_000_000_000;
const MOST_DOLLARS: i64 = 1_000_000;

export function readLimits(reader: ConfigReader, path: string, node: JsonNode): Limit[] {
  const entries = reader.list(path, node, 1, MAX_LIMITS);
  const limits: Limit[] = [];
  for (let i = 0; i < entries.length; i++) {
    const at = path + "[" + i.toString() + "]";
    if (reader.isObject(at, entries[i])) limits.push(readLimit(reader, at, entries[i]));
  }
  return limits;
}

function readLimit(reader: ConfigReader, path: string, node: JsonNode): Limit {
  const limit = new Limit();
  // What an amount may be, and what the other fields mean, depends on these two.
  const unit = choice(reader, path, node, "unit", UNITS);
  const period = choice(reader, path, node, "per", PERIODS);
  if (unit >= 0) limit.unit = unit;
  if (period >= 0) limit.period = period;
  let zoned = false;
  for (let i = 0; i < node.names.length; i++) {
    const name = node.names[i];
    const value = node.values[i];
    const at = path + "." + name;
    if (name == "amount") {
      if (unit >= 0) limit.amount = amount(reader, at, value, limit.unit);
    } else if (name == "rolling") {
      limit.rolling = reader.flag(at, value);
    } else if (name == "timeZone") {
      zoned = true;
      limit.offsetSeconds = timeZone(reader, at, value);
    } else if (name != "unit" && name != "per") {
      reader.unknown(at);
    }
  }
  if (node.get("amount") === null) reader.fail(path + ".amount", "missing");
  if (limit.rolling && period == WindowPeriod.Month) reader.fail(path + ".rolling", "must be false with per month; months differ in length");
  if (zoned && period >= 0 && period < WindowPeriod.Day) reader.fail(path + ".timeZone", "needs per day or month");
  else if (zoned && limit.rolling) reader.fail(path + ".timeZone", "has no effect with rolling; remove one of them");
  return limit;
}

/** Index of the word; -1 with a fault. */
function choice(reader: ConfigReader, path: string, node: JsonNode, name: string, words: string[]): i32 {
  const value = node.get(name);
  if (value !== null) return reader.oneOf(path + "." + name, value, words);
  reader.fail(path + "." + name, "missing; write one of " + words.join(", "));
  return -1;
}

function amount(reader: ConfigReader, path: string, node: JsonNode, unit: LimitUnit): i64 {
  if (unit == LimitUnit.Money) return readDecimal(reader, path, node, MONEY_SCALE, 1, MOST_DOLLARS * MONEY_SCALE);
  if (unit == LimitUnit.WeightedTokens) return readDecimal(reader, path, node, WEIGHT_SCALE, 1, MOST_TOKENS * WEIGHT_SCALE);
  return readDecimal(reader, path, node, 1, 1, MOST_TOKENS);
}

function timeZone(reader: ConfigReader, path: string, node: JsonNode): i32 {
  const offset = node.kind == NodeKind.String ? offsetOf(node.text) : NO_OFFSET;
  if (offset != NO_OFFSET) return offset;
  reader.fail(path, "must be Z, or an offset from -14:00 to +14:00 such as +02:00");
  return 0;
}
