/** The router with a stage behind it that answers every request with the header `x-refuse`: what becomes of a decision then? */
import { JsonNode } from "../../../filters/lib/json-document";
import { AttemptRoot } from "../../../filters/llm-router/attempt";
import { RoutingReader } from "../../../filters/llm-router/config";
import { addRouting } from "../../../filters/llm-router/llm-router";
import { ConfigReader } from "../../../filters/pipeline/config-reader";
import { Exchange } from "../../../filters/pipeline/exchange";
import { LlmRoot } from "../../../filters/pipeline/llm-root";
import { modelNotFound } from "../../../filters/pipeline/refusal";
import { Stage, Verdict } from "../../../filters/pipeline/stage";
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
class RefusingStage extends Stage {
  constructor(private readonly header: i32) {
    super();
  }

  onRequest(exchange: Exchange): Verdict {
    if (!exchange.headers.has(this.header)) return Verdict.Next;
    modelNotFound.send(exchange.api, exchange.model);
    return Verdict.Answered;
  }
}

@final
class RefusingRoot extends LlmRoot {
  constructor() {
    super("refusing-stage");
  }

  read(configuration: JsonNode, reader: ConfigReader): void {
    const taken: string[] = [];
    addRouting(this, new RoutingReader(reader, this.traffic, "").read(configuration, taken));
    this.addStage(new RefusingStage(this.traffic.wanted.want(Bytes.literal("x-refuse"))));
  }
}

registerRoot("refusing-stage", () => new RefusingRoot());
registerRoot("llm-router-attempt", () => new AttemptRoot());
