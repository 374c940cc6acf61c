/** Reads `rules`. */
import { JsonNode } from "../lib/json-document";
import { LimitUnit } from "../lib/token-charge";
import { WindowPeriod } from "../lib/token-window";
import { KeyReader } from "../pipeline/caller-key/key-reader";
import { ConfigReader } from "../pipeline/config-reader";
import { Match } from "../pipeline/match/match";
import { MatchReader } from "../pipeline/match/match-reader";
import { readPrices, readWeights } from "../pipeline/rates/rate-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { Bytes } from "../sdk";
import { LimitReader } from "./limit-reader";
import { Mode, Overrun, RateLimitRule } from "./rule";

const MAX_RULES = 64;
/** A request of all rules must fit into one call of the service. */
const MAX_REMOTE_LIMITS = 32;
const MOST_PERCENT = 50;
const MOST_QUEUE_MS = 60_000;

/** By `MissingKey`. */
const MISSING = ["shared", "skip", "reject"];
/** By `Mode`. */
const MODES = ["local", "strict", "leased"];
/** By `OnFailure`. */
const ON_FAILURE = ["local", "open", "closed"];
/** By `Overrun`. */
const OVERRUN = ["allow", "stop", "pace"];

@final
export class RuleReader {
  private readonly matches: MatchReader;
  private readonly keys: KeyReader;
  private readonly limits: LimitReader;

  /** `tenantHeader`: index among the captured headers, -1 for none. `overrides`: of the service. */
  constructor(
    private readonly reader: ConfigReader,
    traffic: TrafficConfig,
    tenantHeader: i32,
    overrides: bool,
  ) {
    this.matches = new MatchReader(reader, traffic, tenantHeader);
    const keys = new KeyReader(reader, traffic, tenantHeader);
    this.keys = keys;
    this.limits = new LimitReader(reader, keys, overrides);
  }

  readAll(path: string, node: JsonNode): RateLimitRule[] {
    const entries = this.reader.list(path, node, 1, MAX_RULES);
    const rules: RateLimitRule[] = [];
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (this.reader.isObject(at, entries[i])) rules.push(this.read(at, entries[i], rules));
    }
    let remote = 0;
    for (let i = 0; i < rules.length; i++) if (rules[i].isRemote) remote += rules[i].limits.length;
    if (remote > MAX_REMOTE_LIMITS) {
      this.reader.fail(path, "have " + remote.toString() + " limits with mode strict or leased; at most " + MAX_REMOTE_LIMITS.toString() + " are allowed");
    }
    return rules;
  }

  private read(path: string, node: JsonNode, before: RateLimitRule[]): RateLimitRule {
    const reader = this.reader;
    const match = node.get("match");
    const rule = new RateLimitRule(this.name(path + ".name", node, before), match === null ? new Match() : this.matches.read(path + ".match", match));
    // What limits may be depends on it.
    const given = node.get("mode");
    const mode = given === null ? Mode.Local : reader.oneOf(path + ".mode", given, MODES);
    rule.mode = max(mode, 0);
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "key") rule.key = this.keys.readAll(at, value);
      else if (name == "missingKey") rule.missingKey = max(reader.oneOf(at, value, MISSING), 0);
      else if (name == "limits") rule.limits = this.limits.readAll(at, value, rule.mode);
      else if (name == "weights") rule.weights = readWeights(reader, at, value);
      else if (name == "prices") rule.prices = readPrices(reader, at, value);
      else if (name == "shadow") rule.shadow = reader.flag(at, value);
      else if (name == "onFailure") rule.onFailure = max(reader.oneOf(at, value, ON_FAILURE), 0);
      else if (name == "leasePercent") rule.leasePercent = reader.integer(at, value, 1, MOST_PERCENT);
      else if (name == "queueMs") rule.queueMs = reader.integer(at, value, 1, MOST_QUEUE_MS);
      else if (name == "overrun") rule.overrun = max(reader.oneOf(at, value, OVERRUN), 0);
      else if (name != "name" && name != "match" && name != "mode") reader.unknown(at);
    }
    if (mode >= 0) this.mode(path, node, rule);
    if (node.get("limits") === null) {
      reader.fail(path + ".limits", "missing");
    } else {
      this.rates(path, node, rule);
      this.overrun(path + ".overrun", rule);
    }
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

  /** What stands only with some modes. */
  private mode(path: string, node: JsonNode, rule: RateLimitRule): void {
    const reader = this.reader;
    if (node.get("onFailure") !== null && !rule.isRemote) reader.fail(path + ".onFailure", "needs mode strict or leased");
    if (node.get("leasePercent") !== null && rule.mode != Mode.Leased) reader.fail(path + ".leasePercent", "needs mode leased");
    if (node.get("queueMs") !== null && rule.isRemote) reader.fail(path + ".queueMs", "needs mode local");
    if (rule.overrun == Overrun.Pace && rule.isRemote) reader.fail(path + ".overrun", "pace needs mode local");
  }

  /** Requests are counted before there is a stream that could take more. */
  private overrun(path: string, rule: RateLimitRule): void {
    if (rule.overrun == Overrun.Allow) return;
    if (!rule.countsTokens) this.reader.fail(path, "needs a limit that is not of requests");
    if (rule.overrun != Overrun.Pace) return;
    for (let i = 0; i < rule.limits.length; i++) {
      const limit = rule.limits[i];
      if (limit.unit == LimitUnit.Requests || limit.period <= WindowPeriod.Minute) continue;
      this.reader.fail(path, "pace needs limits per second or minute; only requests may have others");
      return;
    }
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
