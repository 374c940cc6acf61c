/**
 * Configuration of the prompt cache: its fields of the plugin configuration -> `PromptCacheConfig`, or every fault with its path and remedy.
 * The table of fields is in README.md of this folder; the xDS server validates the same rules with line numbers.
 */
import { JsonNode, NodeKind } from "../lib/json-document";
import { Api } from "../lib/llm-api";
import { ConfigReader } from "../pipeline/config-reader";
import { readDecimal } from "../pipeline/rates/decimal-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { Bytes } from "../sdk";
import { CacheRule } from "./rule";
import { CacheRuleReader, readLifetime } from "./rule-reader";

const KIB: i64 = 1_024;
const MIB: i64 = 1_048_576;
const LEAST_BYTES: i64 = MIB;
const MOST_BYTES: i64 = 4_096 * MIB;
const DEFAULT_BYTES: i64 = 64 * MIB;
const LEAST_ENTRY_BYTES: i64 = 4 * KIB;
const MOST_ENTRY_BYTES: i64 = 4 * MIB;
const DEFAULT_ENTRY_BYTES: i64 = 256 * KIB;
/** Of one entry, at most one part in so many of the whole. */
const ENTRY_SHARE: i64 = 64;
/** Half of what a VM has. */
const MOST_RECORDING_BYTES: i64 = 32 * MIB;
const DEFAULT_RECORDING_BYTES: i64 = 16 * MIB;
const SECRET_DIGITS: i32 = 32;
const MAX_IGNORED: i32 = 16;
const MOST_SCOPE: i32 = 512;
const MOST_TIMEOUT_MS: i32 = 10_000;

/** Members that are read before the others. */
const FIRST = ["scope", "tenantHeader", "ignore", "maxBytes"];
/** Members of requests that change no answer: who asks, and where and at which price it is computed. */
const DEFAULT_IGNORED = ["user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"];
/** Members of requests that no answer is without. */
const ASKED = ["model", "messages", "prompt", "input", "system", "instructions", "contents", "systemInstruction", "tools", "stream"];

/** The service behind the cache of this Envoy: what all Envoys share. */
@final
export class AnswerServiceConfig {
  /** Envoy cluster of the service. */
  cluster: Bytes = new Bytes();
  /** How long an answer of it is waited for. */
  timeoutMs: i32 = 50;
  /** How long it keeps entries. */
  ttlMs: i64 = 86_400_000;
}

@final
export class PromptCacheConfig {
  /** The first that matches is a request's. */
  rules: CacheRule[] = [];
  /** Entries of other scopes are none of this configuration's, wherever they lie. Empty for the one that has no name. */
  scope: Bytes = new Bytes();
  /** Captured header whose value keeps entries apart; -1 for none. */
  tenantHeader: i32 = -1;
  /** Of shared data. */
  maxBytes: i64 = DEFAULT_BYTES;
  maxEntryBytes: i32 = 0;
  /** Of answers that are being recorded, in each worker. */
  maxRecordingBytes: i32 = <i32>DEFAULT_RECORDING_BYTES;
  /** Key of the hash, in the byte order of SipHash; 0 and 0 without a secret. */
  secretLow: u64 = 0;
  secretHigh: u64 = 0;
  hasSecret: bool = false;
  /** Members at the top of a request that are no part of the key. */
  ignore: Bytes[] = [];
  /** They were not configured. */
  ignoresByDefault: bool = true;
  /** Null: this Envoy keeps its answers to itself. */
  service: AnswerServiceConfig | null = null;
  /** Envoy cluster of the service that is asked which entries are to be forgotten; empty for none. */
  purgeCluster: Bytes = new Bytes();

  /** Whether `ignore` holds. By default not where the answer repeats what the request said: somebody else's user would be in it. */
  ignoresIn(api: Api): bool {
    return !this.ignoresByDefault || api != Api.Responses;
  }
}

/** Reads the members of `root` that are the cache's. `at` is put in front of paths. */
@final
export class PromptCacheReader {
  constructor(
    private readonly reader: ConfigReader,
    /** Complete: rules build on it. */
    private readonly traffic: TrafficConfig,
    private readonly at: string,
  ) {}

  /** `taken` are the names of members that somebody else has read. */
  read(root: JsonNode, taken: string[]): PromptCacheConfig {
    const config = new PromptCacheConfig();
    const reader = this.reader;
    // Rules refer to these, whatever the order in the text.
    const scope = root.get("scope");
    if (scope !== null) config.scope = reader.visible(this.at + "scope", scope, MOST_SCOPE);
    const tenant = root.get("tenantHeader");
    if (tenant !== null) config.tenantHeader = this.traffic.wanted.want(reader.requestHeader(this.at + "tenantHeader", tenant));
    this.ignore(root.get("ignore"), config);
    const before = reader.faults.length;
    const most = root.get("maxBytes");
    if (most !== null) config.maxBytes = readDecimal(reader, this.at + "maxBytes", most, 1, LEAST_BYTES, MOST_BYTES);
    const isKnown = reader.faults.length == before;
    for (let i = 0; i < root.names.length; i++) {
      const name = root.names[i];
      const value = root.values[i];
      const at = this.at + name;
      if (taken.includes(name)) continue;
      if (name == "rules") config.rules = this.rules(config, at, value);
      else if (name == "maxEntryBytes") config.maxEntryBytes = <i32>readDecimal(reader, at, value, 1, LEAST_ENTRY_BYTES, MOST_ENTRY_BYTES);
      else if (name == "maxRecordingBytes") config.maxRecordingBytes = <i32>readDecimal(reader, at, value, 1, MIB, MOST_RECORDING_BYTES);
      else if (name == "secret") this.secret(at, value, config);
      else if (name == "service") config.service = this.service(at, value);
      else if (name == "purges") config.purgeCluster = this.purges(at, value);
      else if (!FIRST.includes(name)) reader.unknown(at);
    }
    if (isKnown) this.entrySize(config);
    for (let i = 0; i < config.rules.length && root.get("service") === null; i++) {
      const at = this.at + "rules[" + i.toString() + "].";
      if (config.rules[i].similarity >= 0) reader.fail(at + "semantic", "needs service, which knows what is similar");
      if (config.rules[i].isPaced) reader.fail(at + "paced", "needs service, which gives them as they came");
      if (config.rules[i].live) reader.fail(at + "singleFlight.live", "needs service, where answers are read along");
    }
    const service = config.service;
    if (service !== null && root.get("purges") === null) config.purgeCluster = service.cluster;
    if (root.get("rules") === null) reader.fail(this.at + "rules", "missing; list at least one rule");
    return config;
  }

  private rules(config: PromptCacheConfig, path: string, node: JsonNode): CacheRule[] {
    return new CacheRuleReader(this.reader, this.traffic, config.tenantHeader, config.scope, config.ignore).readAll(path, node);
  }

  /** An entry has to find room in its set, whatever else is there. */
  private entrySize(config: PromptCacheConfig): void {
    const most = config.maxBytes / ENTRY_SHARE;
    if (config.maxEntryBytes == 0) config.maxEntryBytes = <i32>min(DEFAULT_ENTRY_BYTES, most);
    if (<i64>config.maxEntryBytes <= most) return;
    this.reader.fail(this.at + "maxEntryBytes", "must be at most maxBytes / 64, which is " + most.toString());
  }

  private ignore(node: JsonNode | null, config: PromptCacheConfig): void {
    const reader = this.reader;
    const path = this.at + "ignore";
    config.ignoresByDefault = node === null;
    if (node === null) {
      for (let i = 0; i < DEFAULT_IGNORED.length; i++) config.ignore.push(Bytes.literal(DEFAULT_IGNORED[i]));
      return;
    }
    const entries = reader.list(path, node, 0, MAX_IGNORED);
    for (let i = 0; i < entries.length; i++) {
      const at = path + "[" + i.toString() + "]";
      if (ASKED.includes(entries[i].text)) reader.fail(at, "is what is asked, which has to be part of the key");
      const name = reader.plain(at, entries[i]);
      for (let before = 0; before < config.ignore.length; before++) {
        if (name.len > 0 && config.ignore[before].equals(name)) reader.fail(at, "stands twice in the list; keep one");
      }
      config.ignore.push(name);
    }
  }

  private secret(path: string, node: JsonNode, config: PromptCacheConfig): void {
    const text = node.kind == NodeKind.String ? node.text : "";
    let valid = text.length == SECRET_DIGITS;
    for (let i = 0; i < SECRET_DIGITS && valid; i++) {
      const digit = hexValue(text.charCodeAt(i));
      valid = digit >= 0;
      // Two digits are a byte, and bytes come from the lowest on.
      const shift = <u64>(((i & 15) ^ 1) << 2);
      if (i < 16) config.secretLow |= (<u64>digit) << shift;
      else config.secretHigh |= (<u64>digit) << shift;
    }
    if (!valid) this.reader.fail(path, "must be 32 hexadecimal digits");
    config.hasSecret = valid;
  }

  private purges(path: string, node: JsonNode): Bytes {
    const reader = this.reader;
    let cluster = new Bytes();
    if (!reader.isObject(path, node)) return cluster;
    for (let i = 0; i < node.names.length; i++) {
      const at = path + "." + node.names[i];
      if (node.names[i] == "cluster") cluster = reader.plain(at, node.values[i]);
      else reader.unknown(at);
    }
    if (node.get("cluster") === null) reader.fail(path + ".cluster", "missing");
    return cluster;
  }

  private service(path: string, node: JsonNode): AnswerServiceConfig {
    const service = new AnswerServiceConfig();
    const reader = this.reader;
    if (!reader.isObject(path, node)) return service;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const at = path + "." + name;
      if (name == "cluster") service.cluster = reader.plain(at, node.values[i]);
      else if (name == "timeoutMs") service.timeoutMs = reader.integer(at, node.values[i], 1, MOST_TIMEOUT_MS);
      else if (name == "ttlMs") service.ttlMs = readLifetime(reader, at, node.values[i]);
      else reader.unknown(at);
    }
    if (node.get("cluster") === null) reader.fail(path + ".cluster", "missing");
    return service;
  }
}

/** -1 for no digit. */
function hexValue(code: i32): i32 {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 0x20;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
