/**
 * The gateway: all concerns as stages of one filter, so that there is one VM, one pass over the request body and one over the answer.
 *
 * The configuration has one member for each stage, and beside them the members that belong to none. A stage that is not named does not run. To add a
 * stage: read its member here and call `addStage`; no other stage knows of it (docs/write-a-stage.md).
 */
import { PickerReader } from "../hash-ring/config";
import { addEndpointPicker } from "../hash-ring/hash-ring";
import { JsonNode } from "../lib/json-document";
import { RoutingReader } from "../llm-router/config";
import { addRouting } from "../llm-router/llm-router";
import { ConfigReader } from "../pipeline/config-reader";
import { LlmRoot } from "../pipeline/llm-root";
import { PromptCacheReader } from "../prompt-cache/config";
import { addPromptCache } from "../prompt-cache/prompt-cache";
import { RateLimitReader } from "../token-rate-limit/config";
import { addRateLimit } from "../token-rate-limit/token-rate-limit";

/** Members of the configuration that are stages. */
const STAGES = ["router", "promptCache", "rateLimit", "endpointPicker"];

@final
export class LlmGatewayRoot extends LlmRoot {
  constructor() {
    super("llm-gateway");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    for (let i = 0; i < configuration.names.length; i++) {
      const name = configuration.names[i];
      if (!this.traffic.take(name, configuration.values[i], reader) && !STAGES.includes(name)) reader.unknown(name);
    }
    const router = configuration.get("router");
    if (router !== null && reader.isObject("router", router)) {
      addRouting(this, new RoutingReader(reader, this.traffic, "router.").read(router, []));
    }
    this.readPromptCache(configuration.get("promptCache"), reader);
    this.readRateLimit(configuration.get("rateLimit"), reader);
    this.readPicker(configuration.get("endpointPicker"), router !== null, reader);
    if (this.stages.length == 0 && reader.faults.length == 0) {
      reader.fail("configuration", "has no stage; add router, promptCache, rateLimit or endpointPicker");
    }
  }

  /** Behind the router: where a request goes is part of what an answer is kept under. */
  private readPromptCache(node: JsonNode | null, reader: ConfigReader): void {
    if (node === null || !reader.isObject("promptCache", node)) return;
    const config = new PromptCacheReader(reader, this.traffic, "promptCache.").read(node, []);
    if (reader.faults.length == 0) addPromptCache(this, config);
  }

  /** Behind the cache: what is answered from it takes nothing from a budget. Budgets go by the model that the client named, whatever the router made of it. */
  private readRateLimit(node: JsonNode | null, reader: ConfigReader): void {
    if (node === null || !reader.isObject("rateLimit", node)) return;
    const config = new RateLimitReader(reader, this.traffic, "rateLimit.").read(node, []);
    if (reader.faults.length == 0) addRateLimit(this, config);
  }

  /** Behind the router, because pools go by where a request is routed to, and last, because what another stage refuses goes to no endpoint. */
  private readPicker(node: JsonNode | null, hasRouter: bool, reader: ConfigReader): void {
    if (node === null || !reader.isObject("endpointPicker", node)) return;
    const config = new PickerReader(reader, this.traffic, "endpointPicker.", hasRouter).read(node, []);
    if (reader.faults.length == 0) addEndpointPicker(this, config);
  }
}
