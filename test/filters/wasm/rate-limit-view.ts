/**
 * Says what filters/token-rate-limit read from its configuration: one line of the log for each rule, each key part, each limit and each model of the
 * member `models`. Serves no traffic.
 */
import { JsonNode } from "../../../filters/lib/json-document";
import { TokenCounts } from "../../../filters/lib/token-charge";
import { ConfigReader } from "../../../filters/pipeline/config-reader";
import { LlmRoot } from "../../../filters/pipeline/llm-root";
import { Bytes, log, LogLevel, registerRoot } from "../../../filters/sdk";
import { RateLimitReader } from "../../../filters/token-rate-limit/config";
import { KeyPart } from "../../../filters/token-rate-limit/key-part";
import { Limit } from "../../../filters/token-rate-limit/limit";
import { RateLimitRule } from "../../../filters/token-rate-limit/rule";

export * from "../../../filters/sdk/exports/lifecycle";

const TAKEN = ["models"];

@final
class View extends LlmRoot {
  constructor() {
    super("rate-limit-view");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const config = new RateLimitReader(reader, this.traffic, "rateLimit.").read(configuration, TAKEN);
    const models = configuration.get("models");
    say("config maxKeys=" + config.maxKeys.toString() + " chat=" + flag(config.needsChat));
    for (let i = 0; i < config.rules.length; i++) this.rule(config.rules[i], models === null ? [] : models.values);
  }

  private rule(rule: RateLimitRule, models: JsonNode[]): void {
    const name = rule.name.toString();
    const missing = rule.missingKey.toString();
    say("rule " + name + " missing=" + missing + " shadow=" + flag(rule.shadow) + " chat=" + flag(rule.needsChat));
    say("identity " + hex(rule.identity()));
    for (let i = 0; i < rule.key.length; i++) this.part(rule.key[i]);
    for (let i = 0; i < rule.limits.length; i++) {
      const limit = rule.limits[i];
      say("limit " + describe(limit) + " meter=" + limit.window().size.toString());
      for (let j = 0; j < models.length; j++) this.model(rule, limit, Bytes.literal(models[j].text));
    }
  }

  private part(part: KeyPart): void {
    let line = "key " + part.source.toString();
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

function describe(limit: Limit): string {
  const window = limit.period.toString() + " rolling=" + flag(limit.rolling) + " offset=" + limit.offsetSeconds.toString();
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
