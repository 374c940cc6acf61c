/** Reads `rules`. */
import { JsonNode, NodeKind } from "../lib/json-document";
import { KeyReader } from "../pipeline/caller-key/key-reader";
import { ConfigReader } from "../pipeline/config-reader";
import { Match } from "../pipeline/match/match";
import { MatchReader } from "../pipeline/match/match-reader";
import { readDecimal } from "../pipeline/rates/decimal-reader";
import { readPrices } from "../pipeline/rates/rate-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { Bytes } from "../sdk";
import { CacheRule, DEFAULT_WAIT_MS } from "./rule";

const MAX_RULES: i32 = 64;
const MAX_HEADERS: i32 = 8;
const MOST_WAIT_MS: i32 = 600_000;
const SECOND_MS: i64 = 1_000;
/** 30 days. */
const MOST_TTL_MS: i64 = 2_592_000_000;

/** In 1/1000: less is another question. */
const LEAST_SIMILARITY: i64 = 500;

/** In percent of the speed at which a stream came. */
const FULL_SPEED: i32 = 100;
const LEAST_SPEED: i64 = 10;
const MOST_SPEED: i64 = 10_000;
const MOST_GAP_MS: i32 = 60_000;

/** By `MissingKey`. */
const MISSING = ["bypass", "shared"];
/** By `Temperature`. */
const TEMPERATURES = ["zero", "unset", "any"];

/** Headers that change what a model server answers. */
const DEFAULT_HEADERS = ["anthropic-version", "anthropic-beta", "openai-beta"];

/** How long something is kept, in ms. */
export function readLifetime(reader: ConfigReader, path: string, node: JsonNode, least: i64 = SECOND_MS): i64 {
  return readDecimal(reader, path, node, 1, least, MOST_TTL_MS);
}

@final
export class CacheRuleReader {
  private readonly tenantName: Bytes;
  private readonly matches: MatchReader;
  private readonly keys: KeyReader;
  /** Of the rule that is read. */
  private headerNames: Bytes[] = [];

  constructor(
    private readonly reader: ConfigReader,
    private readonly traffic: TrafficConfig,
    /** Index among the captured headers; -1 for none. */
    tenantHeader: i32,
    /** Of the configuration. */
    private readonly scope: Bytes,
    /** Members of requests that are no part of the key. */
    private readonly ignored: Bytes[],
  ) {
    this.tenantName = tenantHeader < 0 ? new Bytes() : traffic.wanted.names[tenantHeader];
    this.matches = new MatchReader(reader, traffic, tenantHeader);
    this.keys = new KeyReader(reader, traffic, tenantHeader);
  }

  readAll(path: string, node: JsonNode): CacheRule[] {
    const entries = this.reader.list(path, node, 1, MAX_RULES);
    const rules: CacheRule[] = [];
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (this.reader.isObject(at, entries[i])) rules.push(this.read(at, entries[i], rules));
    }
    return rules;
  }

  private read(path: string, node: JsonNode, before: CacheRule[]): CacheRule {
    const reader = this.reader;
    const match = node.get("match");
    const rule = new CacheRule(this.name(path + ".name", node, before), match === null ? new Match() : this.matches.read(path + ".match", match));
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "key") rule.key = this.keys.readAll(at, value);
      else if (name == "missingKey") rule.missingKey = max(reader.oneOf(at, value, MISSING), 0);
      else if (name == "ttlMs") rule.ttlMs = readLifetime(reader, at, value);
      else if (name == "staleWhileRevalidateMs") rule.staleWhileRevalidateMs = readLifetime(reader, at, value, 0);
      else if (name == "staleIfErrorMs") rule.staleIfErrorMs = readLifetime(reader, at, value, 0);
      else if (name == "cache") this.cache(at, value, rule);
      else if (name == "transcode") rule.transcode = reader.flag(at, value);
      else if (name == "singleFlight") this.singleFlight(at, value, rule);
      else if (name == "clientControl") rule.clientControl = reader.flag(at, value);
      else if (name == "showKey") rule.showKey = reader.flag(at, value);
      else if (name == "semantic") rule.similarity = this.semantic(at, value);
      else if (name == "paced") this.paced(at, value, rule);
      else if (name == "hitTokens") rule.hitTokens = reader.integer(at, value, 0, 100);
      else if (name == "prices") rule.prices = readPrices(reader, at, value);
      else if (name != "name" && name != "match" && name != "headers") reader.unknown(at);
    }
    if (rule.live && rule.hitTokens > 0) reader.fail(path + ".singleFlight.live", "counts no tokens; remove it, or hitTokens");
    if (rule.isPaced && rule.hitTokens > 0) reader.fail(path + ".paced", "counts no tokens; remove it, or hitTokens");
    if (node.get("key") === null) rule.key.push(this.keys.apiKey());
    this.headers(path + ".headers", node.get("headers"), rule);
    rule.identify(this.scope, this.tenantName, this.headerNames, this.ignored);
    return rule;
  }

  /** A flag, or an object with a threshold. */
  private semantic(path: string, node: JsonNode): i32 {
    const reader = this.reader;
    if (node.kind != NodeKind.Object) return reader.flag(path, node) ? 0 : -1;
    const threshold = node.get("threshold");
    for (let i = 0; i < node.names.length; i++) if (node.names[i] != "threshold") reader.unknown(path + "." + node.names[i]);
    return threshold === null ? 0 : <i32>readDecimal(reader, path + ".threshold", threshold, 1000, LEAST_SIMILARITY, 1000);
  }

  /** A flag, or an object with how fast. */
  private paced(path: string, node: JsonNode, rule: CacheRule): void {
    const reader = this.reader;
    if (node.kind != NodeKind.Object) {
      rule.speedPercent = reader.flag(path, node) ? FULL_SPEED : 0;
      return;
    }
    rule.speedPercent = FULL_SPEED;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const at = path + "." + name;
      if (name == "speed") rule.speedPercent = <i32>readDecimal(reader, at, node.values[i], FULL_SPEED, LEAST_SPEED, MOST_SPEED);
      else if (name == "maxGapMs") rule.maxGapMs = reader.integer(at, node.values[i], 0, MOST_GAP_MS);
      else reader.unknown(at);
    }
  }

  private name(path: string, node: JsonNode, before: CacheRule[]): Bytes {
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

  private headers(path: string, node: JsonNode | null, rule: CacheRule): void {
    const names: Bytes[] = [];
    if (node === null) {
      for (let i = 0; i < DEFAULT_HEADERS.length; i++) names.push(Bytes.literal(DEFAULT_HEADERS[i]));
    } else {
      const entries = this.reader.list(path, node, 0, MAX_HEADERS);
      for (let i = 0; i < entries.length; i++) names.push(this.reader.requestHeader(path + "[" + i.toString() + "]", entries[i]));
    }
    for (let i = 0; i < names.length; i++) rule.headers.push(this.traffic.wanted.want(names[i]));
    this.headerNames = names;
  }

  private cache(path: string, node: JsonNode, rule: CacheRule): void {
    const reader = this.reader;
    if (!reader.isObject(path, node)) return;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const value = node.values[i];
      const at = path + "." + name;
      if (name == "temperature") rule.temperature = max(reader.oneOf(at, value, TEMPERATURES), 0);
      else if (name == "tools") rule.tools = reader.flag(at, value);
      else if (name == "choices") rule.choices = reader.flag(at, value);
      else reader.unknown(at);
    }
  }

  /** Whether requests wait for one that is equal, how long in ms, and whether they read along. */
  private singleFlight(path: string, node: JsonNode, rule: CacheRule): void {
    const reader = this.reader;
    if (node.kind == NodeKind.Boolean) {
      rule.waitMs = node.number == 1 ? DEFAULT_WAIT_MS : 0;
      return;
    }
    if (!reader.isObject(path, node)) return;
    for (let i = 0; i < node.names.length; i++) {
      const at = path + "." + node.names[i];
      if (node.names[i] == "waitMs") rule.waitMs = reader.integer(at, node.values[i], 1, MOST_WAIT_MS);
      else if (node.names[i] == "live") rule.live = reader.flag(at, node.values[i]);
      else reader.unknown(at);
    }
  }
}
