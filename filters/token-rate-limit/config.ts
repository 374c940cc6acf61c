/**
 * Configuration of the rate limiting stage: its fields of the plugin configuration -> `RateLimitConfig`, or every fault with its path and remedy.
 * The table of fields is in README.md of this folder; the xDS server validates the same rules with line numbers.
 */
import { JsonNode } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { RateLimitService } from "./remote-service";
import { RateLimitRule } from "./rule";
import { RuleReader } from "./rule-reader";
import { readService } from "./service-reader";

const DEFAULT_KEYS: i32 = 65_536;
const LEAST_KEYS: i32 = 1_024;
const MOST_KEYS: i32 = 1_048_576;

@final
export class RateLimitConfig {
  rules: RateLimitRule[] = [];
  /** Budgets that are kept at the same time, over all rules. */
  maxKeys: i32 = DEFAULT_KEYS;
  /** Streams that tokens are counted of report their usage, whether the client asked for it or not. */
  includeUsage: bool = true;
  /** Null: no rule needs one. */
  service: RateLimitService | null = null;

  /** A rule has mode strict or leased. */
  get isRemote(): bool {
    for (let i = 0; i < this.rules.length; i++) if (this.rules[i].isRemote) return true;
    return false;
  }

  get needsChat(): bool {
    for (let i = 0; i < this.rules.length; i++) if (this.rules[i].needsChat) return true;
    return false;
  }
}

/** Reads the members of `root` that are the rate limiter's. `at` is put in front of paths. */
@final
export class RateLimitReader {
  constructor(
    private readonly reader: ConfigReader,
    /** Complete: rules build on it. */
    private readonly traffic: TrafficConfig,
    private readonly at: string,
  ) {}

  /** `taken` are the names of members that somebody else has read. */
  read(root: JsonNode, taken: string[]): RateLimitConfig {
    const config = new RateLimitConfig();
    const reader = this.reader;
    // Rules refer to it, whatever the order in the text.
    const tenant = root.get("tenantHeader");
    const tenantHeader = tenant === null ? -1 : this.traffic.wanted.want(reader.requestHeader(this.at + "tenantHeader", tenant));
    const given = root.get("service");
    if (given !== null) config.service = readService(reader, this.at + "service", given);
    for (let i = 0; i < root.names.length; i++) {
      const name = root.names[i];
      const value = root.values[i];
      const at = this.at + name;
      if (taken.includes(name)) continue;
      if (name == "rules") this.rules(config, tenantHeader, at, value);
      else if (name == "maxKeys") config.maxKeys = reader.integer(at, value, LEAST_KEYS, MOST_KEYS);
      else if (name == "includeUsage") config.includeUsage = reader.flag(at, value);
      else if (name != "tenantHeader" && name != "service") reader.unknown(at);
    }
    if (root.get("rules") === null) reader.fail(this.at + "rules", "missing; list at least one rule");
    return config;
  }

  /** Rules, and whether there is a service for them. */
  private rules(config: RateLimitConfig, tenantHeader: i32, at: string, value: JsonNode): void {
    const reader = this.reader;
    const before = reader.faults.length;
    const service = config.service;
    config.rules = new RuleReader(reader, this.traffic, tenantHeader, service === null || service.overrides).readAll(at, value);
    if (service === null && config.isRemote) reader.fail(this.at + "service", "missing; a rule with mode strict or leased needs it");
    // A rule that has a fault may have been meant to need it.
    const isComplete = reader.faults.length == before;
    if (service !== null && isComplete && !config.isRemote) reader.fail(this.at + "service", "needs a rule with mode strict or leased; remove it");
  }
}
