/** Reads `rules`. */
import { JsonNode } from "../lib/json-document";
import { LimitUnit } from "../lib/token-charge";
import { Match } from "../pipeline/match/match";
import { MatchReader } from "../pipeline/match/match-reader";
import { ConfigReader } from "../pipeline/config-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { Bytes } from "../sdk";
import { KeyReader } from "./key-reader";
import { readLimits } from "./limit-reader";
import { readPrices, readWeights } from "./rate-reader";
import { RateLimitRule } from "./rule";

const MAX_RULES = 64;
/** By `MissingKey`. */
const MISSING = ["shared", "skip", "reject"];

@final
export class RuleReader {
  private readonly matches: MatchReader;
  private readonly keys: KeyReader;

  /** `tenantHeader`: index among the captured headers, -1 for none. */
  constructor(
    private readonly reader: ConfigReader,
    traffic: TrafficConfig,
    tenantHeader: i32,
  ) {
    this.matches = new MatchReader(reader, traffic, tenantHeader);
    this.keys = new KeyReader(reader, traffic, tenantHeader);
  }

  readAll(path: string, node: JsonNode): RateLimitRule[] {
    const entries = this.reader.list(path, node, 1, MAX_RULES);
    const rules: RateLimitRule[] = [];
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (this.reader.isObject(at, entries[i])) rules.push(this.read(at, entries[i], rules));
    }
    return rules;
  }

  private read(path: string, node: JsonNode, before: RateLimitRule[]): RateLimitRule {
    const reader = this.reader;
    const match = node.get("match");
    const rule = new RateLimitRule(this.name(path + ".name", node, before), match === null ? new Match() : this.matches.read(path + ".match", match));
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "key") rule.key = this.keys.readAll(at, value);
      else if (name == "missingKey") rule.missingKey = max(reader.oneOf(at, value, MISSING), 0);
      else if (name == "limits") rule.limits = readLimits(reader, at, value);
      else if (name == "weights") rule.weights = readWeights(reader, at, value);
      else if (name == "prices") rule.prices = readPrices(reader, at, value);
      else if (name == "shadow") rule.shadow = reader.flag(at, value);
      else if (name != "name" && name != "match") reader.unknown(at);
    }
    if (node.get("limits") === null) reader.fail(path + ".limits", "missing");
    else this.rates(path, node, rule);
    return rule;
  }

  private name(path: string, node: JsonNode, before: RateLimitRule[]): Bytes {
    const given = node.get("name");
    if (given === null) {
      this.reader.fail(path, "missing");
      return new Bytes();
    }
    const name = this.reader.identifier(path, given);
    for (let i = 0; i < before.length; i++) {
      if (name.len > 0 && before[i].name.equals(name)) this.reader.fail(path, "stands twice in the list; names must differ");
    }
    return name;
  }

  /** Weights and prices stand where a limit counts by them, and nowhere else. */
  private rates(path: string, node: JsonNode, rule: RateLimitRule): void {
    const weighted = counts(rule, LimitUnit.WeightedTokens);
    const money = counts(rule, LimitUnit.Money);
    if (node.get("weights") !== null && !weighted) this.reader.fail(path + ".weights", "needs a limit of weightedTokens");
    if (node.get("prices") !== null && !money) this.reader.fail(path + ".prices", "needs a limit of money");
    if (node.get("prices") === null && money) this.reader.fail(path + ".prices", "missing; a limit of money needs them");
  }
}

function counts(rule: RateLimitRule, unit: LimitUnit): bool {
  for (let i = 0; i < rule.limits.length; i++) if (rule.limits[i].unit == unit) return true;
  return false;
}
