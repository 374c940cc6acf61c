/**
 * The endpoint picker with a stage behind it that traps when a request carries `x-trap`: its VM dies with requests in flight that nobody will count down. The trap comes when the
 * request goes on, so that it is one of them.
 */
import { PickerReader } from "../../../filters/hash-ring/config";
import { addEndpointPicker } from "../../../filters/hash-ring/hash-ring";
import { JsonNode } from "../../../filters/lib/json-document";
import { ConfigReader } from "../../../filters/pipeline/config-reader";
import { Exchange } from "../../../filters/pipeline/exchange";
import { LlmRoot } from "../../../filters/pipeline/llm-root";
import { Stage } from "../../../filters/pipeline/stage";
import { Bytes, registerRoot } from "../../../filters/sdk";

export * from "../../../filters/sdk/exports/lifecycle";
export {
  proxy_on_request_body,
  proxy_on_request_headers,
  proxy_on_request_trailers,
  proxy_on_response_body,
  proxy_on_response_headers,
} from "../../../filters/sdk/exports/http";
export { proxy_on_tick } from "../../../filters/sdk/exports/root";

@final
class TrappingStage extends Stage {
  constructor(private readonly header: i32) {
    super();
  }

  onSend(exchange: Exchange): void {
    assert(!exchange.headers.has(this.header), "trap on purpose");
  }
}

@final
class TrappingRoot extends LlmRoot {
  constructor() {
    super("trapping-picker");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    addEndpointPicker(this, new PickerReader(reader, this.traffic, "", false).read(configuration, []));
    this.addStage(new TrappingStage(this.traffic.wanted.want(Bytes.literal("x-trap"))));
  }
}

registerRoot("trapping-picker", () => new TrappingRoot());
