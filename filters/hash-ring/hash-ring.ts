/** The endpoint picker as a filter of its own: all fields side by side in one configuration. */
import { JsonNode } from "../lib/json-document";
import { ConfigReader } from "../pipeline/config-reader";
import { LlmRoot } from "../pipeline/llm-root";
import { PickerConfig, PickerReader } from "./config";
import { PickerStage } from "./picker-stage";

@final
export class HashRingRoot extends LlmRoot {
  constructor() {
    super("hash-ring");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const taken: string[] = [];
    for (let i = 0; i < configuration.names.length; i++) {
      const name = configuration.names[i];
      if (this.traffic.take(name, configuration.values[i], reader)) taken.push(name);
    }
    const config = new PickerReader(reader, this.traffic, "", false).read(configuration, taken);
    if (reader.faults.length == 0) addEndpointPicker(this, config);
  }
}

/** Adds the endpoint picking stage to a pipeline: behind the router, because the pool depends on the target. */
export function addEndpointPicker(root: LlmRoot, config: PickerConfig): void {
  root.addStage(new PickerStage(config, root.traffic.tokensPerByte));
}
