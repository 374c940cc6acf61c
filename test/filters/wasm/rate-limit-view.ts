/**
 * Says what filters/token-rate-limit read from its configuration: one line of the log for the service and what each rule does with it, each rule, key
 * part and limit, each model of the member `models`, and each number of the member `units`. Serves no traffic.
 */
import { JsonNode } from "../../../filters/lib/json-document";
import { TokenCounts } from "../../../filters/lib/token-charge";
import { KeyPart } from "../../../filters/pipeline/caller-key/key-part";
import { ConfigReader } from "../../../filters/pipeline/config-reader";
import { LlmRoot } from "../../../filters/pipeline/llm-root";
import { Bytes, log, LogLevel, registerRoot } from "../../../filters/sdk";
import { RateLimitReader } from "../../../filters/token-rate-limit/config";
import { Limit } from "../../../filters/token-rate-limit/limit";
import { RateLimitService } from "../../../filters/token-rate-limit/remote-service";
import { RateLimitRule } from "../../../filters/token-rate-limit/rule";

export * from "../../../filters/sdk/exports/lifecycle";

const TAKEN = ["models", "units"];

@final
class View extends LlmRoot {
  constructor() {
    super("rate-limit-view");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const config = new RateLimitReader(reader, this.traffic, "rateLimit.").read(configuration, TAKEN);
    say("config maxKeys=" + config.maxKeys.toString() + " chat=" + flag(config.needsChat));
    const service = config.service;
    if (service !== null) say("service " + shown(service));
    for (let i = 0; i < config.rules.length; i++) this.rule(config.rules[i], members(configuration, "models"), members(configuration, "units"));
  }

  private rule(rule: RateLimitRule, models: JsonNode[], units: JsonNode[]): void {
    const name = rule.name.toString();
    const missing = rule.missingKey.toString();
    say("rule " + name + " missing=" + missing + " shadow=" + flag(rule.shadow) + " chat=" + flag(rule.needsChat));
    const failure = " failure=" + rule.onFailure.toString() + " lease=" + rule.leasePercent.toString();
    const stream = " queue=" + rule.queueMs.toString() + " overrun=" + rule.overrun.toString();
    say("mode " + rule.mode.toString() + " remote=" + flag(rule.isRemote) + failure + stream);
    say("identity " + hex(rule.identity()));
    for (let i = 0; i < rule.key.length; i++) {
      const part = rule.key[i];
      this.part(part, "key");
      say("label " + part.label.toString() + " secret=" + flag(part.secret));
    }
    for (let i = 0; i < rule.limits.length; i++) {
      const limit = rule.limits[i];
      say("limit " + describe(limit) + " meter=" + limit.window().size.toString());
      say("wire " + limit.label.toString() + " scale=" + limit.scale.toString());
      const from = limit.amountFrom;
      if (from !== null) this.part(from, "from");
      for (let j = 0; j < units.length; j++) this.units(limit, <i64>units[j].number);
      for (let j = 0; j < models.length; j++) this.model(rule, limit, Bytes.literal(models[j].text));
    }
  }

  private units(limit: Limit, units: i64): void {
    say("units " + units.toString() + " hits=" + limit.wireHits(units).toString() + " amount=" + limit.wireAmount(units).toString());
  }

  private part(part: KeyPart, word: string): void {
    let line = word + " " + part.source.toString();
    for (let i = 0; i < part.headers.length; i++) line += " " + this.traffic.wanted.names[part.headers[i]].toString();
    say(line + " " + part.text.toString().split("\0").join("|"));
  }

  /** 1000 tokens in, of which 400 cached and 100 written, 200 out, of which 50 thoughts; and the most for as many. */
  private model(rule: RateLimitRule, limit: Limit, model: Bytes): void {
    const counts = new TokenCounts().set(1000, 400, 100, 200, 50);
    const cost = rule.charge(limit, counts, model).toString();
    const most = rule.chargeAtMost(limit, 1000, 200, model).toString();
    say("model " + model.toString() + " known=" + flag(rule.hasPrice(model)) + " cost=" + cost + " most=" + most);
  }
}

function members(configuration: JsonNode, name: string): JsonNode[] {
  const node = configuration.get(name);
  return node === null ? [] : node.values;
}

function shown(service: RateLimitService): string {
  const flags = " ledger=" + flag(service.ledger) + " overrides=" + flag(service.overrides) + " refunds=" + flag(service.refunds);
  return service.cluster.toString() + " domain=" + service.domain.toString() + " timeout=" + service.timeoutMs.toString() + flags;
}

function describe(limit: Limit): string {
  const window = limit.period.toString() + " rolling=" + flag(limit.rolling) + " offset=" + limit.zone.identity;
  return limit.unit.toString() + " amount=" + limit.amount.toString() + " per=" + window;
}

function flag(value: bool): string {
  return value ? "1" : "0";
}

function hex(bytes: Bytes): string {
  let text = "";
  for (let i = 0; i < bytes.len; i++) text += (<u32>bytes.at(i) + 256).toString(16).substring(1);
  return text;
}

function say(line: string): void {
  log.text(LogLevel.Info, line);
}

registerRoot("rate-limit-view", () => new View());
