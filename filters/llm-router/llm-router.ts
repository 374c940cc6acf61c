/** The router as a filter of its own: the pipeline with one stage, all fields side by side in one configuration. */
import { JsonNode } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { LlmRoot } from "../pipeline/llm-root";
import { MODEL_HEADER, RoutingConfig, RoutingReader } from "./config";
import { RoutingStage } from "./routing-stage";

@final
export class LlmRouterRoot extends LlmRoot {
  constructor() {
    super("llm-router");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const taken: string[] = [];
    for (let i = 0; i < configuration.names.length; i++) {
      const name = configuration.names[i];
      if (this.traffic.take(name, configuration.values[i], reader)) taken.push(name);
    }
    addRouting(this, new RoutingReader(reader, this.traffic, "").read(configuration, taken));
  }
}

/** Adds the routing stage to a pipeline. */
export function addRouting(root: LlmRoot, config: RoutingConfig): void {
  if (root.traffic.measured === null) root.traffic.measured = config.modelNames;
  root.reserved.push(config.routeHeader);
  root.reserved.push(config.clusterHeader);
  root.reserved.push(MODEL_HEADER);
  root.addStage(new RoutingStage(config));
}
