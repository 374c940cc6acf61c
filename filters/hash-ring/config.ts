/**
 * Configuration of the endpoint picking stage: its fields of the plugin configuration -> `PickerConfig`, or every fault with its path and remedy.
 * The table of fields is in README.md of this folder; the xDS server validates the same rules with line numbers.
 */
import { JsonNode } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { TrafficConfig } from "../pipeline/traffic-config";
import { Bytes } from "../sdk";
import { PoolConfig } from "./pool-config";
import { PoolReader } from "./pool-reader";

@final
export class FeedConfig {
  cluster: Bytes = new Bytes();
  intervalMs: i32 = 250;
  /** Older reports say nothing. */
  maxAgeMs: i32 = 1000;
}

@final
export class PickerConfig {
  pools: PoolConfig[] = [];
  /** Captured header whose value keeps the prefixes of tenants apart; -1 for none. */
  tenantHeader: i32 = -1;
  /** Header of the answer that says which endpoint it is from; empty for none. */
  servedHeader: Bytes = new Bytes();
  feed: FeedConfig | null = null;

  get needsChat(): bool {
    for (let i = 0; i < this.pools.length; i++) if (this.pools[i].needsChat) return true;
    return false;
  }

  get needsPrompt(): bool {
    for (let i = 0; i < this.pools.length; i++) if (this.pools[i].needsPrompt) return true;
    return false;
  }
}

/** Reads the members of `root` that are the picker's. `at` is put in front of paths. */
@final
export class PickerReader {
  constructor(
    private readonly reader: ConfigReader,
    /** Complete: pools build on it. */
    private readonly traffic: TrafficConfig,
    private readonly at: string,
    /** There is a router whose targets pools can name. */
    private readonly hasTargets: bool,
  ) {}

  /** `taken` are the names of members that somebody else has read. */
  read(root: JsonNode, taken: string[]): PickerConfig {
    const config = new PickerConfig();
    const reader = this.reader;
    // Pools refer to it, whatever the order in the text.
    const tenant = root.get("tenantHeader");
    if (tenant !== null) config.tenantHeader = this.traffic.wanted.want(reader.requestHeader(this.at + "tenantHeader", tenant));
    for (let i = 0; i < root.names.length; i++) {
      const name = root.names[i];
      const value = root.values[i];
      const at = this.at + name;
      if (taken.includes(name)) continue;
      if (name == "pools") config.pools = new PoolReader(reader, this.traffic, config.tenantHeader, this.hasTargets).readAll(at, value);
      else if (name == "servedHeader") config.servedHeader = reader.headerName(at, value);
      else if (name == "feed") config.feed = this.feed(at, value);
      else if (name != "tenantHeader") reader.unknown(at);
    }
    if (root.get("pools") === null) reader.fail(this.at + "pools", "missing; list at least one pool");
    return config;
  }

  private feed(path: string, node: JsonNode): FeedConfig {
    const feed = new FeedConfig();
    const reader = this.reader;
    if (!reader.isObject(path, node)) return feed;
    for (let i = 0; i < node.names.length; i++) {
      const name = node.names[i];
      const at = path + "." + name;
      if (name == "cluster") feed.cluster = reader.plain(at, node.values[i]);
      else if (name == "intervalMs") feed.intervalMs = reader.integer(at, node.values[i], 50, 10_000);
      else if (name == "maxAgeMs") feed.maxAgeMs = reader.integer(at, node.values[i], 100, 60_000);
      else reader.unknown(at);
    }
    if (node.get("cluster") === null) reader.fail(path + ".cluster", "missing");
    return feed;
  }
}
