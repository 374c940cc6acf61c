/** The rate limiter as a filter of its own: all fields side by side in one configuration. */
import { JsonNode } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { LlmRoot } from "../pipeline/llm-root";
import { RateLimitConfig, RateLimitReader } from "./config";
import { RateLimitStage } from "./rate-limit-stage";

@final
export class TokenRateLimitRoot extends LlmRoot {
  constructor() {
    super("token-rate-limit");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const taken: string[] = [];
    for (let i = 0; i < configuration.names.length; i++) {
      const name = configuration.names[i];
      if (this.traffic.take(name, configuration.values[i], reader)) taken.push(name);
    }
    const limits = new RateLimitReader(reader, this.traffic, "").read(configuration, taken);
    if (reader.faults.length == 0) addRateLimit(this, limits);
  }
}

/** Adds the rate limiting stage to a pipeline. */
export function addRateLimit(root: LlmRoot, config: RateLimitConfig): void {
  root.addStage(new RateLimitStage(config, root.traffic.tokensPerByte));
}
