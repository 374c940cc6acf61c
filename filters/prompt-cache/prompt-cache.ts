/** The prompt cache as a filter of its own: all fields side by side in one configuration. */
import { JsonNode } from "../lib/json-document";
import { xxhash64 } from "../lib/xxhash64";
import { ConfigReader } from "../pipeline/config-reader";
import { LlmRoot } from "../pipeline/llm-root";
import { Bytes, property, Status } from "../sdk";
import { CacheHeaders, CacheStage } from "./cache-stage";
import { PromptCacheConfig, PromptCacheReader } from "./config";
import { envoySecret } from "./envoy-secret";

const AUTHORITY = Bytes.literal(":authority");
const CACHE_CONTROL = Bytes.literal("cache-control");
const PLUGIN_NAME = Bytes.literal("plugin_name");

@final
export class PromptCacheRoot extends LlmRoot {
  constructor() {
    super("prompt-cache");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const taken: string[] = [];
    for (let i = 0; i < configuration.names.length; i++) {
      const name = configuration.names[i];
      if (this.traffic.take(name, configuration.values[i], reader)) taken.push(name);
    }
    const config = new PromptCacheReader(reader, this.traffic, "").read(configuration, taken);
    if (reader.faults.length == 0) addPromptCache(this, config);
  }
}

/** Adds the caching stage to a pipeline: behind the router, whose choice is part of the key, and in front of what hits are to be spared. */
export function addPromptCache(root: LlmRoot, config: PromptCacheConfig): void {
  const wanted = root.traffic.wanted;
  const names = new CacheHeaders(wanted.want(AUTHORITY), wanted.want(CACHE_CONTROL));
  if (!config.hasSecret && config.service === null) {
    envoySecret.fetch();
    config.secretLow = envoySecret.low;
    config.secretHigh = envoySecret.high;
  }
  root.addStage(new CacheStage(config, names, scopeOf(config)));
}

/** Other plugins of the VM may have rules of the same names. A plugin's name changes with the stages in it, so a name of one's own is better. */
function scopeOf(config: PromptCacheConfig): u64 {
  const name = config.scope;
  if (name.len == 0 && property.get(PLUGIN_NAME, name) != Status.Ok) return 0;
  return xxhash64(name.ptr, name.len, 0);
}
