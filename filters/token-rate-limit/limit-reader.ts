/** Reads `limits` of a rule. */
import { JsonNode } from "../lib/json-document";
import { LimitUnit, MONEY_SCALE, WEIGHT_SCALE } from "../lib/token-charge";
import { WindowPeriod } from "../lib/token-window";
import { KeyPart } from "../pipeline/caller-key/key-part";
import { KeyReader } from "../pipeline/caller-key/key-reader";
import { ConfigReader } from "../pipeline/config-reader";
import { readDecimal } from "../pipeline/rates/decimal-reader";
import { Bytes } from "../sdk";
import { Limit, PERIOD_NAMES, UNIT_NAMES } from "./limit";
import { Mode } from "./rule";
import { readTimeZone } from "./time-zone";

const MAX_LIMITS = 4;

@final
export class LimitReader {
  constructor(
    private readonly reader: ConfigReader,
    private readonly keys: KeyReader,
    /** The amounts that hold in rules with mode strict or leased are those of the rules. */
    private readonly overrides: bool,
  ) {}

  /** `mode` is the rule's. */
  readAll(path: string, node: JsonNode, mode: Mode): Limit[] {
    const reader = this.reader;
    const entries = reader.list(path, node, 1, MAX_LIMITS);
    const limits: Limit[] = [];
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (!reader.isObject(at, entries[i])) continue;
      const limit = this.read(at, entries[i], mode);
      // The service tells the limits of a rule apart by it.
      if (limit.label.len > 0 && hasLabel(limits, limit.label)) {
        reader.fail(at, "has the unit and period of another limit; with mode strict or leased they must differ");
      }
      limits.push(limit);
    }
    return limits;
  }

  private read(path: string, node: JsonNode, mode: Mode): Limit {
    const reader = this.reader;
    const limit = new Limit();
    // What an amount may be, and what the other fields mean, depends on these two.
    const unit = this.choice(path, node, "unit", UNIT_NAMES);
    const period = this.choice(path, node, "per", PERIOD_NAMES);
    if (unit >= 0) limit.unit = unit;
    if (period >= 0) limit.period = period;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "amount") {
        if (unit >= 0) limit.amount = this.amount(at, value, limit);
      } else if (name == "amountFrom") {
        limit.amountFrom = this.amountFrom(at, value);
        if (mode != Mode.Local && !this.overrides) reader.fail(at, "needs service.override true, or mode local");
      } else if (name == "rolling") {
        limit.rolling = reader.flag(at, value);
      } else if (name == "timeZone") {
        limit.zone = readTimeZone(reader, at, value);
      } else if (name != "unit" && name != "per") {
        reader.unknown(at);
      }
    }
    if (node.get("amount") === null) reader.fail(path + ".amount", "missing");
    this.window(path, limit, period, node.get("timeZone") !== null, mode);
    if (mode != Mode.Local && unit >= 0 && period >= 0) limit.goRemote();
    return limit;
  }

  private window(path: string, limit: Limit, period: i32, zoned: bool, mode: Mode): void {
    const reader = this.reader;
    // The windows of the protocol are those of the calendar, in UTC. What the service's own configuration says nobody knows here.
    if (mode == Mode.Leased || (mode == Mode.Strict && this.overrides)) {
      const needs = mode == Mode.Leased ? "needs mode local, or mode strict with service.override false" : "needs mode local, or service.override false";
      if (limit.rolling) reader.fail(path + ".rolling", needs);
      if (zoned) reader.fail(path + ".timeZone", needs);
      return;
    }
    if (limit.rolling && period == WindowPeriod.Month) reader.fail(path + ".rolling", "must be false with per month; months differ in length");
    if (zoned && period >= 0 && period < WindowPeriod.Day) reader.fail(path + ".timeZone", "needs per day or month");
    else if (zoned && limit.rolling) reader.fail(path + ".timeZone", "has no effect with rolling; remove one of them");
  }

  /** Index of the word; -1 with a fault. */
  private choice(path: string, node: JsonNode, name: string, words: string[]): i32 {
    const value = node.get(name);
    if (value !== null) return this.reader.oneOf(path + "." + name, value, words);
    this.reader.fail(path + "." + name, "missing; write one of " + words.join(", "));
    return -1;
  }

  private amount(path: string, node: JsonNode, limit: Limit): i64 {
    const scale = limit.unit == LimitUnit.Money ? MONEY_SCALE : limit.unit == LimitUnit.WeightedTokens ? WEIGHT_SCALE : 1;
    return readDecimal(this.reader, path, node, scale, 1, limit.most);
  }

  /** Where a request says its own amount. */
  private amountFrom(path: string, node: JsonNode): KeyPart | null {
    const reader = this.reader;
    if (!reader.isObject(path, node)) return null;
    let source: KeyPart | null = null;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const at = path + "." + name;
      if (name == "header") source = this.keys.header(at, node.values[i]);
      else if (name == "metadata") source = this.keys.metadata(at, node.values[i]);
      else reader.unknown(at);
    }
    if ((node.get("header") === null) == (node.get("metadata") === null)) reader.fail(path, "must have one of header or metadata");
    return source;
  }
}

function hasLabel(limits: Limit[], label: Bytes): bool {
  for (let i = 0; i < limits.length; i++) if (limits[i].label.equals(label)) return true;
  return false;
}
