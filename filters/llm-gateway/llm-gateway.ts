/**
 * The gateway: all concerns as stages of one filter, so that there is one VM, one pass over the request body and one over the answer.
 *
 * The configuration has one member for each stage, and beside them the members that belong to none. A stage that is not named does not run. To add a
 * stage: read its member here and call `addStage`; no other stage knows of it (docs/write-a-stage.md).
 */
import { JsonNode } from "../lib/json-document";
import { RoutingReader } from "../llm-router/config";
import { addRouting } from "../llm-router/llm-router";
import { ConfigReader } from "../pipeline/config-reader";
import { LlmRoot } from "../pipeline/llm-root";

@final
export class LlmGatewayRoot extends LlmRoot {
  constructor() {
    super("llm-gateway");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    for (let i = 0; i < configuration.names.length; i++) {
      const name = configuration.names[i];
      if (!this.traffic.take(name, configuration.values[i], reader) && name != "router") reader.unknown(name);
    }
    const router = configuration.get("router");
    if (router === null) {
      reader.fail("router", "missing; it decides where requests go");
    } else if (reader.isObject("router", router)) {
      addRouting(this, new RoutingReader(reader, this.traffic, "router.").read(router, []));
    }
  }
}
