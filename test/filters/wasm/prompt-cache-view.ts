/** Says what filters/prompt-cache read from its configuration: one line of the log for the whole, one for the service, and three for each rule. Serves no traffic. */
import { JsonNode } from "../../../filters/lib/json-document";
import { Api } from "../../../filters/lib/llm-api";
import { ConfigReader } from "../../../filters/pipeline/config-reader";
import { LlmRoot } from "../../../filters/pipeline/llm-root";
import { PromptCacheConfig, PromptCacheReader } from "../../../filters/prompt-cache/config";
import { CacheRule } from "../../../filters/prompt-cache/rule";
import { Bytes, log, LogLevel, registerRoot } from "../../../filters/sdk";

export * from "../../../filters/sdk/exports/lifecycle";

@final
class View extends LlmRoot {
  constructor() {
    super("prompt-cache-view");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const taken: string[] = [];
    for (let i = 0; i < configuration.names.length; i++) {
      const name = configuration.names[i];
      if (this.traffic.take(name, configuration.values[i], reader)) taken.push(name);
    }
    const config = new PromptCacheReader(reader, this.traffic, "promptCache.").read(configuration, taken);
    this.config(config);
    for (let i = 0; i < config.rules.length; i++) this.rule(config.rules[i]);
  }

  private config(config: PromptCacheConfig): void {
    const bytes = " bytes=" + config.maxBytes.toString() + " entry=" + config.maxEntryBytes.toString() + " recording=" + config.maxRecordingBytes.toString();
    const ignored = " ignore=" + joined(config.ignore) + " responses=" + flag(config.ignoresIn(Api.Responses)) + " chat=" + flag(config.ignoresIn(Api.ChatCompletions));
    say("config scope=" + config.scope.toString() + " tenant=" + this.header(config.tenantHeader) + bytes + ignored);
    say("secret " + flag(config.hasSecret) + " " + config.secretLow.toString(16) + " " + config.secretHigh.toString(16));
    if (config.purgeCluster.len > 0) say("purges " + config.purgeCluster.toString());
    const service = config.service;
    if (service !== null) say("service " + service.cluster.toString() + " timeout=" + service.timeoutMs.toString() + " ttl=" + service.ttlMs.toString());
  }

  private rule(rule: CacheRule): void {
    const times = " ttl=" + rule.ttlMs.toString() + " revalidate=" + rule.staleWhileRevalidateMs.toString() + " error=" + rule.staleIfErrorMs.toString() + " kept=" + rule.keptMs.toString();
    say("rule " + rule.name.toString() + " missing=" + rule.missingKey.toString() + times);
    const requests = "requests temperature=" + rule.temperature.toString() + " tools=" + flag(rule.tools) + " choices=" + flag(rule.choices);
    const ways = " transcode=" + flag(rule.transcode) + " wait=" + rule.waitMs.toString() + " shares=" + flag(rule.sharesCalls);
    const shown = " control=" + flag(rule.clientControl) + " show=" + flag(rule.showKey) + " hit=" + rule.hitTokens.toString() + " prices=" + flag(rule.prices !== null) + " similarity=" + rule.similarity.toString();
    say(requests + ways + shown);
    let headers = "";
    for (let i = 0; i < rule.headers.length; i++) headers += " " + this.header(rule.headers[i]);
    let key = "";
    for (let i = 0; i < rule.key.length; i++) key += " " + rule.key[i].source.toString() + ":" + rule.key[i].headers.length.toString();
    say("key" + key + " headers" + headers);
    say("identity " + hex(rule.identity));
  }

  private header(index: i32): string {
    return index < 0 ? "none" : this.traffic.wanted.names[index].toString();
  }
}

function joined(names: Bytes[]): string {
  let text = "";
  for (let i = 0; i < names.length; i++) text += (i > 0 ? "," : "") + names[i].toString();
  return text;
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

registerRoot("prompt-cache-view", () => new View());
