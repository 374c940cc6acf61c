/**
 * Configuration of the rate limiting stage: its fields of the plugin configuration -> `RateLimitConfig`, or every fault with its path and remedy.
 * The table of fields is in README.md of this folder; the xDS server validates the same rules with line numbers.
 */
import { JsonNode } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { RateLimitRule } from "./rule";
import { RuleReader } from "./rule-reader";

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
    for (let i = 0; i < root.names.length; i++) {
      const name = root.names[i];
      const value = root.values[i];
      const at = this.at + name;
      if (taken.includes(name)) continue;
      if (name == "rules") config.rules = new RuleReader(reader, this.traffic, tenantHeader).readAll(at, value);
      else if (name == "maxKeys") config.maxKeys = reader.integer(at, value, LEAST_KEYS, MOST_KEYS);
      else if (name == "includeUsage") config.includeUsage = reader.flag(at, value);
      else if (name != "tenantHeader") reader.unknown(at);
    }
    if (root.get("rules") === null) reader.fail(this.at + "rules", "missing; list at least one rule");
    return config;
  }
}
