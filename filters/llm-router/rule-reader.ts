/** Reads `rules`. */
import { JsonNode, NodeKind } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { Bytes, ByteWriter } from "../sdk";
import { Match } from "../pipeline/match/match";
import { MatchReader } from "../pipeline/match/match-reader";
import { Fallback, Rule, Sticky } from "./rule";
import { Target } from "./target";
import { TargetTable } from "./target-reader";

const MAX_RULES = 256;
const MAX_TARGETS = 16;
const MAX_FALLBACKS = 4;
const MAX_STATUSES = 16;
const MAX_WEIGHT = 1_000_000;
const STATUSES = "429,500,502,503,504,529";
const HEADER_PREFIX = "header:";

const text = new ByteWriter();

@final
export class RuleReader {
  private readonly matches: MatchReader;

  constructor(
    private readonly reader: ConfigReader,
    private readonly traffic: TrafficConfig,
    private readonly targets: TargetTable,
    private readonly tenantHeader: i32,
  ) {
    this.matches = new MatchReader(reader, traffic, tenantHeader);
  }

  readAll(path: string, node: JsonNode): Rule[] {
    const entries = this.reader.list(path, node, 1, MAX_RULES);
    const rules: Rule[] = [];
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (this.reader.isObject(at, entries[i])) rules.push(this.read(at, entries[i], rules));
    }
    return rules;
  }

  private read(path: string, node: JsonNode, before: Rule[]): Rule {
    const reader = this.reader;
    const nameNode = node.get("name");
    let name = new Bytes();
    if (nameNode === null) reader.fail(path + ".name", "missing");
    else name = reader.identifier(path + ".name", nameNode);
    for (let i = 0; i < before.length; i++) {
      if (before[i].name.equals(name) && name.len > 0) reader.fail(path + ".name", "stands twice in the list; names must differ");
    }
    const match = node.get("match");
    const rule = new Rule(name, match === null ? new Match() : this.matches.read(path + ".match", match));
    const targets = node.get("targets");
    if (targets === null) reader.fail(path + ".targets", "missing");
    else this.split(path + ".targets", targets, rule);
    for (let i = 0; i < node.names.length; i++) {
      const field = node.names[i];
      const value = node.values[i];
      if (field == "stickyBy") this.stickyBy(path + ".stickyBy", value, rule);
      else if (field == "fallback") rule.fallback = this.fallback(path + ".fallback", value, rule);
      else if (field != "name" && field != "match" && field != "targets") reader.unknown(path + "." + field);
    }
    this.nameValues(path, rule);
    return rule;
  }

  private split(path: string, node: JsonNode, rule: Rule): void {
    const reader = this.reader;
    const entries = reader.list(path, node, 1, MAX_TARGETS);
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      const entry = entries[i];
      if (!reader.isObject(at, entry)) continue;
      const name = entry.get("target");
      let weight = 1;
      for (let j = 0; j < entry.names.length; j++) {
        if (entry.names[j] == "weight") weight = reader.integer(at + ".weight", entry.values[j], 0, MAX_WEIGHT);
        else if (entry.names[j] != "target") reader.unknown(at + "." + entry.names[j]);
      }
      if (name === null) {
        reader.fail(at + ".target", "missing");
        continue;
      }
      const target = this.targets.find(at + ".target", name);
      if (has(rule.targets, target)) reader.fail(at + ".target", "stands twice in the list; keep one");
      rule.targets.push(target);
      rule.split.add(weight);
    }
    if (entries.length > 0 && rule.split.sum == 0) reader.fail(path, "the sum of the weights must be above 0");
  }

  private stickyBy(path: string, node: JsonNode, rule: Rule): void {
    const text = node.kind == NodeKind.String ? node.text : "";
    if (text == "session") {
      rule.sticky = Sticky.Session;
    } else if (text == "tenant") {
      rule.sticky = Sticky.Header;
      rule.stickyHeader = this.tenantHeader;
      if (this.tenantHeader < 0) this.reader.fail(path, "needs tenantHeader");
    } else if (text.startsWith(HEADER_PREFIX)) {
      const name = new JsonNode(NodeKind.String);
      name.text = text.substring(HEADER_PREFIX.length);
      rule.sticky = Sticky.Header;
      rule.stickyHeader = this.traffic.wanted.want(this.reader.requestHeader(path, name));
    } else {
      this.reader.fail(path, "must be session, tenant or header:NAME");
    }
  }

  private fallback(path: string, node: JsonNode, rule: Rule): Fallback | null {
    const reader = this.reader;
    if (!reader.isObject(path, node)) return null;
    const fallback = new Fallback();
    fallback.statuses = Bytes.literal(STATUSES);
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "targets") this.fallbackTargets(at, value, rule, fallback);
      else if (name == "statuses") fallback.statuses = this.statuses(at, value);
      else if (name == "firstByteTimeout") fallback.firstByteTimeout = reader.milliseconds(at, value, 10, 600_000);
      else reader.unknown(at);
    }
    if (node.get("targets") === null) reader.fail(path + ".targets", "missing");
    fallback.attempts = Bytes.literal(fallback.targets.length.toString());
    fallback.firstByteHeader = Bytes.literal(fallback.firstByteTimeout.toString());
    return fallback;
  }

  private fallbackTargets(path: string, node: JsonNode, rule: Rule, fallback: Fallback): void {
    const entries = this.reader.list(path, node, 1, MAX_FALLBACKS);
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      const target = this.targets.find(at, entries[i]);
      if (has(fallback.targets, target)) this.reader.fail(at, "stands twice in the list; keep one");
      if (has(rule.targets, target)) this.reader.fail(at, "is one of the rule's own targets");
      fallback.targets.push(target);
    }
  }

  private statuses(path: string, node: JsonNode): Bytes {
    const entries = this.reader.list(path, node, 1, MAX_STATUSES);
    text.reset();
    for (let i = 0; i < entries.length; i++) {
      const status = this.reader.integer(path + "[" + i.toString() + "]", entries[i], 400, 599);
      if (i > 0) text.byte(0x2c);
      text.decimal(status);
    }
    return text.view().copy();
  }

  /** What the route or cluster header says for each target: its own value, or the pool's with a fallback. */
  private nameValues(path: string, rule: Rule): void {
    const fallback = rule.fallback;
    for (let i = 0; i < rule.targets.length; i++) {
      const target = rule.targets[i];
      if (fallback === null) {
        rule.values.push(target.value);
        continue;
      }
      const name = text.reset().bytes(target.value);
      let mixed = false;
      for (let j = 0; j < fallback.targets.length; j++) {
        const next = fallback.targets[j];
        mixed = mixed || next.byCluster != target.byCluster;
        fallback.hasCredential = fallback.hasCredential || next.credential !== null;
        name.byte(0x2b).bytes(next.value);
      }
      if (mixed) this.reader.fail(path, "targets of a rule with fallback must all have route or all have cluster");
      rule.values.push(name.view().copy());
    }
  }
}

function has(targets: Target[], target: Target): bool {
  for (let i = 0; i < targets.length; i++) if (targets[i].name.equals(target.name) && target.name.len > 0) return true;
  return false;
}
